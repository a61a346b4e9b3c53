/** A trace that was put beside the page when it was built. */
export interface Embedded {
  name: string;
  about: string | null;
  spans: number;
  tasks: number;
  /** From the first begin to the last end, in microseconds. */
  micros: number;
  /** The script that brings it, from the page's folder. */
  script: string;
  /** It is Pingora's record of a scenario, to be compared with. */
  record?: boolean;
}
