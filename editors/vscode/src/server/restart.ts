// When a server that ended by itself is started again.

/** The wait before the first, second, ... start in a row, in milliseconds. */
const BACKOFF_MS = [1_000, 2_000, 5_000, 10_000, 20_000];

/** Ends that are longer ago than this do not count. */
const WINDOW_MS = 3 * 60_000;

/** Counts how often the server ended lately. `now` is in milliseconds, of any clock. */
export class RestartPolicy {
  #ends: number[] = [];

  /** The server ended: the milliseconds to wait, or undefined when it is time to ask a person. */
  ended(now: number): number | undefined {
    this.#ends = this.#ends.filter((end) => now - end < WINDOW_MS);
    const wait = BACKOFF_MS[this.#ends.length];
    this.#ends.push(now);
    return wait;
  }

  /** A person asked for a start: it counts anew. */
  forget(): void {
    this.#ends = [];
  }
}
