// Finding a Python that the server's environment can be made with.

import { onPath, type Machine } from "../server/find.ts";
import { SetupProblem } from "./problem.ts";
import type { Done } from "./run.ts";

/** A command line that starts a Python. */
export type Python = readonly [program: string, ...args: string[]];

export type RunPython = (program: string, args: readonly string[]) => Promise<Done>;

const MIN_VERSION = [3, 11] as const;
const NAMES = ["python3.13", "python3.12", "python3.11", "python3", "python"];
const PROBE =
  "import importlib.util as u, sys; " +
  "print('python', *sys.version_info[:2], all(map(u.find_spec, ('venv', 'ensurepip'))), sys.executable)";

interface Probed {
  readonly version: readonly [number, number];
  readonly makesEnvironments: boolean;
  readonly executable: string;
}

/** The first Python that is new enough and can make virtual environments.
 *
 * `setting` is `fimble.python.path`. Throws SetupProblem, which names what was found instead.
 */
export async function findPython(setting: string, machine: Machine, run: RunPython): Promise<string> {
  const seen: string[] = [];
  let lacksVenv = false;
  for (const [program, ...args] of candidates(setting, machine)) {
    const probed = parseProbe((await run(program, [...args, "-I", "-c", PROBE])).output);
    if (probed === undefined) {
      seen.push(`${program} does not run`);
    } else if (isOlder(probed.version)) {
      seen.push(`${probed.executable} is Python ${probed.version.join(".")}`);
    } else if (!probed.makesEnvironments) {
      lacksVenv = true;
      seen.push(`${probed.executable} cannot make virtual environments`);
    } else {
      return probed.executable;
    }
  }
  throw new SetupProblem(explain(setting, seen, lacksVenv));
}

/** The command lines to try, the best first. */
export function candidates(setting: string, machine: Machine): Python[] {
  if (setting) {
    return [[setting]];
  }
  const found = NAMES.flatMap((name) => onPath(name, machine)).map((program): Python => [program]);
  const launcher = onPath("py", machine)[0];
  return machine.platform === "win32" && launcher ? [[launcher, "-3"], ...found] : found;
}

/** What the probe printed, if it ran. */
export function parseProbe(printed: string): Probed | undefined {
  const match = /^python (\d+) (\d+) (True|False) (.+)$/m.exec(printed);
  if (!match) {
    return undefined;
  }
  const [, major, minor, makes, executable = ""] = match;
  return { version: [Number(major), Number(minor)], makesEnvironments: makes === "True", executable: executable.trim() };
}

function isOlder([major, minor]: readonly [number, number]): boolean {
  return major < MIN_VERSION[0] || (major === MIN_VERSION[0] && minor < MIN_VERSION[1]);
}

function explain(setting: string, seen: string[], lacksVenv: boolean): string {
  const found = seen.length === 0 ? "" : ` (${[...new Set(seen)].join("; ")})`;
  if (setting) {
    return `The Python that fimble.python.path names is of no use${found}. Name another, 3.11 or newer, or empty the setting.`;
  }
  if (lacksVenv) {
    return `No Python here can make virtual environments${found}. On Debian and Ubuntu: apt install python3-venv`;
  }
  return `There is no Python 3.11 or newer here${found}. Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it in fimble.python.path.`;
}
