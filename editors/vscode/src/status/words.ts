// What the status bar says. Every state has its own word and its own icon: colour alone tells nothing.

/** The states of the server (`fimble/status`), and those in which there is none. */
export type State =
  | "missing"
  | "settingUp"
  | "starting"
  | "loading"
  | "ready"
  | "working"
  | "off"
  | "error"
  | "stopped";

/** What the server tells by `fimble/status`, or the extension about a server that is not there. */
export interface Status {
  readonly state: State;
  readonly message: string;
  readonly model?: string;
  readonly percentage?: number | null;
}

export interface Words {
  readonly text: string;
  readonly tooltip: string;
  /** What a screen reader says. */
  readonly label: string;
  readonly severity: "none" | "warning" | "error";
}

const ICONS: Record<State, string> = {
  missing: "cloud-download",
  settingUp: "sync~spin",
  starting: "sync~spin",
  loading: "sync~spin",
  ready: "check",
  working: "loading~spin",
  off: "circle-slash",
  error: "error",
  stopped: "debug-disconnect",
};

const NAMES: Record<State, string> = {
  missing: "set up",
  settingUp: "setting up",
  starting: "starting",
  loading: "loading",
  ready: "ready",
  working: "working",
  off: "off here",
  error: "error",
  stopped: "stopped",
};

const SEVERITIES: Partial<Record<State, Words["severity"]>> = { missing: "warning", error: "error", stopped: "error" };

export function words(status: Status): Words {
  const { state, message, model, percentage } = status;
  const share = state === "loading" && typeof percentage === "number" ? ` ${percentage} %` : "";
  const name = NAMES[state] + share;
  const lines = [`Fimble: ${message || name}`, ...(model ? [`Model: ${model}`] : []), "Click for the menu"];
  return {
    text: `$(${ICONS[state]}) Fimble: ${name}`,
    tooltip: lines.join("\n"),
    label: `Fimble: ${name}. ${message}`,
    severity: SEVERITIES[state] ?? "none",
  };
}

/** What the server sent, if it is what this extension knows; a newer server may say more. */
export function parseStatus(value: unknown): Status | undefined {
  const known: readonly string[] = ["starting", "loading", "ready", "working", "off", "error"];
  if (typeof value !== "object" || value === null) {
    return undefined;
  }
  const { state, message, model, percentage } = value as Record<string, unknown>;
  if (typeof state !== "string" || !known.includes(state)) {
    return undefined;
  }
  return {
    state: state as State,
    message: typeof message === "string" ? message : "",
    model: typeof model === "string" ? model : "",
    percentage: typeof percentage === "number" ? percentage : null,
  };
}
