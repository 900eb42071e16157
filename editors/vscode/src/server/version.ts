// Whether a server and this extension understand each other.

/** The version in what `fimble --version` prints, or undefined if that is something else. */
export function parseVersion(printed: string): string | undefined {
  return /^fimble (\d+\.\d+\.\d+\S*)\s*$/m.exec(printed)?.[1];
}

/** Before 1.0 a second number that differs may change what is said between the two. */
export function isCompatible(server: string, extension: string): boolean {
  const [theirs, ours] = [significant(server), significant(extension)];
  return theirs === ours;
}

function significant(version: string): string {
  const [major, minor] = version.split(".");
  return major === "0" ? `0.${minor}` : `${major}`;
}
