/** The server's environment cannot be made; the message says why, and what to do about it. */
export class SetupProblem extends Error {
  override name = "SetupProblem";
}

/** A person has cancelled. */
export class Cancelled extends Error {
  override name = "Cancelled";
}
