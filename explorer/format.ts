/** Numbers for people. */

const short = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** A time in microseconds, in the unit that suits it. */
export function duration(micros: number): string {
  if (micros < 1000) return `${micros >= 100 ? micros.toFixed(0) : micros.toFixed(1)} µs`;
  if (micros < 1e6) return `${short(micros / 1000)} ms`;
  return `${short(micros / 1e6)} s`;
}

/** The same with so many decimals that marks `distance` apart differ. */
export function axisTime(micros: number, distance: number): string {
  const [unit, size] = distance >= 1e6 ? ['s', 1e6] : distance >= 1000 ? ['ms', 1000] : ['µs', 1];
  const decimals = Math.max(0, -Math.floor(Math.log10(distance / size) + 1e-9));
  return `${(micros / size).toFixed(Math.min(3, decimals))} ${unit}`;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}
