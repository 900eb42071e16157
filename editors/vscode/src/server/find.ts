// Which `fimble` to start.  Knows nothing of VS Code: what is there is told by `Machine`.

import * as path from "node:path";

/** Where a server came from, in the order in which they are looked for. */
export type Origin = "setting" | "environment" | "path" | "workspace";

export interface Candidate {
  readonly origin: Origin;
  readonly program: string;
}

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  isFile(path: string): boolean;
}

export interface Places {
  /** The setting `fimble.server.path`; empty if it is not set. */
  readonly setting: string;
  /** The folder of the environment that the extension makes. */
  readonly environment: string;
  /** The workspace's folders; none where the workspace is not trusted. */
  readonly trustedFolders: readonly string[];
}

/** The programs that are there, the one to take first. A path that was set by hand is never passed over. */
export function findServers(places: Places, machine: Machine): Candidate[] {
  if (places.setting) {
    return [{ origin: "setting", program: expandHome(places.setting, machine) }];
  }
  const all: Candidate[] = [
    { origin: "environment", program: programIn(places.environment, machine.platform) },
    ...onPath("fimble", machine).map((program): Candidate => ({ origin: "path", program })),
    ...places.trustedFolders.map(
      (folder): Candidate => ({
        origin: "workspace",
        program: programIn(join(machine.platform)(folder, ".venv"), machine.platform),
      }),
    ),
  ];
  return all.filter((candidate) => machine.isFile(candidate.program));
}

/** The program in a virtual environment. */
export function programIn(environment: string, platform: NodeJS.Platform, name = "fimble"): string {
  const [folder, suffix] = platform === "win32" ? ["Scripts", ".exe"] : ["bin", ""];
  return join(platform)(environment, folder as string, name + suffix);
}

/** Every file of this name on the PATH, in its order. */
export function onPath(name: string, machine: Machine): string[] {
  const windows = machine.platform === "win32";
  const folders = (machine.env["PATH"] ?? machine.env["Path"] ?? "").split(windows ? ";" : ":");
  const suffixes = windows ? [".exe", ".bat", ".cmd"] : [""];
  return folders
    .filter((folder) => folder !== "" && isAbsolute(folder, windows)) // "." would be the workspace
    .flatMap((folder) => suffixes.map((suffix) => join(machine.platform)(folder, name + suffix)))
    .filter((program) => machine.isFile(program));
}

/** A leading `~` stands for the home folder, as people write it into settings. */
export function expandHome(text: string, machine: Pick<Machine, "platform" | "env">): string {
  const home = machine.env["HOME"] ?? machine.env["USERPROFILE"];
  return home && /^~(?=$|[\\/])/.test(text) ? home + text.slice(1) : text;
}

function join(platform: NodeJS.Platform): (...parts: string[]) => string {
  return platform === "win32" ? path.win32.join : path.posix.join;
}

function isAbsolute(folder: string, windows: boolean): boolean {
  return windows ? path.win32.isAbsolute(folder) : path.posix.isAbsolute(folder);
}
