/** Whether OpenTelemetry's packages are there, which are optional. */

/** Why traces can't be sent, or be made for sending, in one line. */
export class OtlpError extends Error {
  /** Always `OtlpError`. */
  override readonly name = 'OtlpError';
}

/** `load` a module that is made of OpenTelemetry's packages. Throws {@link OtlpError} if they are missing. */
export async function withOpenTelemetry<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new OtlpError(
      "OTLP needs OpenTelemetry's packages, which are not installed; npm install --include=optional does",
    );
  }
}

/** An error's message; of one for each of a host's addresses, the first one's. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
