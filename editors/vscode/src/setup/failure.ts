// Why an installation failed, guessed from what pip printed, and what to do about it.

const FIXES: readonly (readonly [sign: RegExp, fix: string])[] = [
  [/No space left on device|ENOSPC/, "The disk is full. The environment takes about 600 MB while it is made."],
  [
    /Killed signal terminated program|fatal error: Killed|virtual memory exhausted/,
    "The compiler was ended, most likely for want of memory. Close other programs and try again.",
  ],
  [
    /No CMAKE_C(XX)?_COMPILER could be found|CMAKE_C(XX)?_COMPILER[\w-]* not (set|found)|is not able to compile a simple test program|(g\+\+|gcc|c\+\+|cc): (command )?not found|Microsoft Visual C\+\+ .* is required/,
    "llama.cpp is compiled for this machine, and there is no C++ compiler. Install one (Debian, Ubuntu: apt install build-essential cmake; Fedora: dnf install gcc-c++ make cmake; macOS: xcode-select --install; Windows: the C++ build tools of Visual Studio).",
  ],
  [/CMake must be installed|Could not find CMake|No CMake executable/, "CMake is missing. Debian, Ubuntu: apt install cmake"],
  [/Python\.h: No such file/, "The headers of Python are missing. Debian, Ubuntu: apt install python3-dev"],
  [/ensurepip is not available|No module named '?(ensurepip|venv)/, "This Python lacks venv. Debian, Ubuntu: apt install python3-venv"],
  [
    /requires a different Python|Requires-Python|not a supported wheel/,
    "A package does not support this Python or this machine. Name another Python (3.11, 3.12 or 3.13) in fimble.python.path.",
  ],
];

const NO_NETWORK =
  /Failed to establish a new connection|Temporary failure in name resolution|Name or service not known|Network is unreachable|ConnectTimeoutError|Read timed out|Connection refused|ProxyError|getaddrinfo failed|Could not find a version that satisfies|No matching distribution found/;

/** What most probably helps; `isOffline` says that only the folder of wheels was asked. */
export function likelyFix(output: string, isOffline: boolean): string {
  const fix = FIXES.find(([sign]) => sign.test(output))?.[1];
  if (fix !== undefined) {
    return fix;
  }
  if (!NO_NETWORK.test(output)) {
    return "The log has all that was printed.";
  }
  if (isOffline) {
    const missing = /No matching distribution found for (\S+)/.exec(output)?.[1];
    return `The folder of fimble.server.wheels has no fitting wheel${missing ? ` of ${missing}` : ""}. Make it on a machine with this system and this Python: pip wheel fimble -w FOLDER`;
  }
  return "The package index cannot be reached. Check the connection and the proxy settings of pip, or install from a folder of wheels (fimble.server.wheels).";
}
