// Settings that are changed with one click.

import * as vscode from "vscode";

const ENABLED = "suggest.enabled";
const LANGUAGES_OFF = "privacy.languages_off";
const EAGERNESS = "suggest.eagerness";

const EAGERNESS_CHOICES = [
  { label: "eager", detail: "Suggest often, though only every third is right." },
  { label: "balanced", detail: "In between: about every second is right." },
  { label: "quiet", detail: "Only what you are likely to accept." },
];

export function isOn(): boolean {
  return settings().get(ENABLED, true);
}

export function isLanguageOn(language: string): boolean {
  return !languagesOff().includes(language);
}

export async function toggle(): Promise<void> {
  await settings().update(ENABLED, !isOn(), target(ENABLED));
}

/** For the language of the active editor. */
export async function toggleLanguage(): Promise<void> {
  const language = vscode.window.activeTextEditor?.document.languageId;
  if (language === undefined) {
    return;
  }
  const off = languagesOff();
  const wanted = off.includes(language) ? off.filter((each) => each !== language) : [...off, language];
  // An empty list would still be stronger than the one in fimble.toml.
  await settings().update(LANGUAGES_OFF, wanted.length > 0 ? wanted : undefined, vscode.ConfigurationTarget.Global);
}

export async function chooseEagerness(): Promise<void> {
  const current = settings().get<string>(EAGERNESS);
  const choices = EAGERNESS_CHOICES.map((each) => ({
    ...each,
    ...(each.label === current ? { description: "current" } : {}),
  }));
  const choice = await vscode.window.showQuickPick(choices, { title: "How eager shall Fimble be?" });
  if (choice) {
    await settings().update(EAGERNESS, choice.label, target(EAGERNESS));
  }
}

function settings(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration("fimble");
}

function languagesOff(): string[] {
  return settings().get<string[]>(LANGUAGES_OFF, []);
}

/** Where the value that counts was set: a change elsewhere would be without effect. */
function target(key: string): vscode.ConfigurationTarget {
  const isOfWorkspace = settings().inspect(key)?.workspaceValue !== undefined;
  return isOfWorkspace ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
}
