// Where the cursor went, apart from what typing does to it.

/** Tells moves from edits: a cursor that moved together with the text was moved by it. */
export class Moves {
  #versions = new WeakMap<object, number>();

  /** Whether the cursor of this document moved by itself: its version is the one that was seen before. */
  isMove(document: { readonly version: number }): boolean {
    const before = this.#versions.get(document);
    this.#versions.set(document, document.version);
    return before === document.version;
  }
}

/** Runs the last of several calls, `delay_ms` after it. */
export class Debounced {
  #timer: NodeJS.Timeout | undefined;
  readonly #delay_ms: number;

  constructor(delay_ms: number) {
    this.#delay_ms = delay_ms;
  }

  call(work: () => void): void {
    this.cancel();
    this.#timer = setTimeout(work, this.#delay_ms);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
