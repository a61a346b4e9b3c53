/** What is said of a start that can't be. */

/** What a user did wrong: one line that names the culprit and a mend, no stack trace. */
export class Complaint extends Error {
  /** 2 for a command line that can't be understood, 1 for one that can't be done. */
  readonly status: number;
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}
