// pip: its command line, and what it says put into words for a progress message.

/** Where the packages come from. */
export interface Packages {
  /** The wheel of the server that the extension carries, or a requirement for the index. */
  readonly server: string;
  /** A folder of wheels; nothing else is asked then. Empty: the index. */
  readonly wheels: string;
}

/** The arguments of Python that install the server. */
export function installArguments({ server, wheels }: Packages, upgrade: boolean): string[] {
  return [
    ...["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"],
    ...(wheels ? ["--no-index", "--find-links", wheels] : []),
    ...(upgrade ? ["--upgrade"] : []),
    server,
  ];
}

/** pip's surroundings: what the user has set stays, other Pythons' folders go. */
export function pipEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { PYTHONHOME: _home, PYTHONPATH: _path, ...kept } = env;
  const asked = kept["CMAKE_ARGS"] ?? "";
  // The part of llama.cpp for pictures, which nobody needs here, takes half of the time.
  const cmake = asked.includes("LLAVA_BUILD") ? asked : `${asked} -DLLAVA_BUILD=OFF`.trim();
  return { ...kept, CMAKE_ARGS: cmake, LC_ALL: "C.UTF-8", PYTHONIOENCODING: "utf-8" };
}

/** What a line of pip's output means to somebody who waits, or undefined if it is nothing new. */
export function progressOf(line: string): string | undefined {
  const match = /^\s*(Collecting|Processing|Downloading|Building wheel for|Installing collected packages)\s*:?\s*(\S*)/.exec(line);
  if (!match) {
    return undefined;
  }
  const [, what, which = ""] = match;
  const name = which.split(/[\\/]/).pop()?.split(/[-=<>!~[;(]\d|[=<>!~[;(]/)[0]?.replace(/[,:]$/, "") ?? "";
  switch (what) {
    case "Building wheel for":
      return name.startsWith("llama") ? "Compiling llama.cpp for this machine (3 to 20 minutes)" : `Building ${name}`;
    case "Installing collected packages":
      return "Installing the packages";
    default:
      return `Getting ${name}`;
  }
}
