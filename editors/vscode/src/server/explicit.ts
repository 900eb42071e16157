// The settings that somebody has really made.
//
// VS Code answers with every default as well. Sent to the server, those would be stronger than the user's
// fimble.toml, which is as if it were not there.

/** What `WorkspaceConfiguration.inspect` says, as far as it is of interest. */
export interface Inspected {
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
  readonly globalLanguageValue?: unknown;
}

/** The values of these keys (such as `suggest.enabled`) that were set, as a tree. */
export function explicitSettings(
  keys: readonly string[],
  inspect: (key: string) => Inspected | undefined,
): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const key of keys) {
    const found = inspect(key);
    const value = found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue;
    if (value !== undefined) {
      put(tree, key.split("."), value);
    }
  }
  return tree;
}

/** The keys that are the server's, without `fimble.`, from the manifest's `contributes.configuration`. */
export function serverKeys(configuration: readonly { properties?: object }[]): string[] {
  const own = /^fimble\.(server|python)\./;
  return configuration
    .flatMap((section) => Object.keys(section.properties ?? {}))
    .filter((key) => !own.test(key))
    .map((key) => key.replace(/^fimble\./, ""));
}

function put(tree: Record<string, unknown>, path: string[], value: unknown): void {
  const [first = "", ...rest] = path;
  if (rest.length === 0) {
    tree[first] = value;
    return;
  }
  const inner = (tree[first] ??= {}) as Record<string, unknown>;
  put(inner, rest, value);
}
