/** Takes the values of secrets out of a text that is told to people: what a workload writes before it dies may hold them. Pure. */

/** Shorter ones stand in ordinary words, and guard nothing. */
const CHARS_MIN = 4;
const SHOWN = "[secret]";

/** All ways in which a value is likely to be written, the longest first. */
export function formsOf(values: readonly string[]): readonly string[] {
  const forms = values.flatMap((value) => {
    const lines = value.split("\n").map((line) => line.trim());
    return [value, ...lines].flatMap((text) => [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text.toWellFormed()), btoa(String.fromCharCode(...new TextEncoder().encode(text)))]);
  });
  return [...new Set(forms)].filter(({ length }) => length >= CHARS_MIN).toSorted((a, b) => b.length - a.length);
}

export function redact(text: string, forms: readonly string[]): string {
  return forms.reduce((left, form) => left.replaceAll(form, SHOWN), text);
}
