/** What a server of these is made of. */
import type { Server } from '../../server/mod.ts';
import type { Service } from '../../services/mod.ts';
import type { ServerPlan } from '../messages.ts';

/** What a setup makes its services of. */
export interface Making {
  readonly server: Server;
  readonly plan: ServerPlan;
  /** The origin's address. */
  readonly origin: string;
}

/** Makes the services of a server, in the order in which they are added. */
export type Setup = (making: Making) => Service[] | Promise<Service[]>;
