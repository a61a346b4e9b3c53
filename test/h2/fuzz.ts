/** `npm run fuzz:h2 -- --minutes 10 --seed 1`: connections fed with what nobody would send, until the time is up. */
import { parseArgs } from 'node:util';
import { garble } from './garble.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() & 0xffff) },
  },
});
const end = Date.now() + Number(values.minutes) * 60_000;
let seed = Number(values.seed);
let connections = 0;
while (Date.now() < end) {
  await garble(seed++, 500);
  connections += 500;
}
console.log(`${connections} connections, seeds ${values.seed} to ${seed - 1}: nothing thrown, nothing left`);
