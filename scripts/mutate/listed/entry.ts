/** One behaviour of `src`, and the change that takes it away. */
export interface Listed {
  /** What `src` does, and after the change doesn't. */
  readonly name: string;
  /** Below the project. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly text: string;
  /** What stands there after the change. */
  readonly instead: string;
  /** The tests that are most likely to notice: they are run before the others. */
  readonly tests?: readonly string[];
}
