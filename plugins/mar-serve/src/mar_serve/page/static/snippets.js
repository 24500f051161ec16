// The same request as a line of curl and as lines of Python.

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** @param request {url, kind: "file" | "text" | "json", type, name, text, token} */
export function curl(request) {
  const words = ["curl", quoted(request.url)];
  if (request.type) words.push("-H", quoted(`Content-Type: ${request.type}`));
  // A variable of the shell, so that no key is copied into a history by accident.
  if (request.token) words.push("-H", '"Authorization: Bearer $TOKEN"');
  if (request.kind === "file") words.push("--data-binary", quoted(`@${request.name || "FILE"}`));
  // curl reads a file where data begin with @; only --data-raw does not.
  else words.push("--data-raw", quoted(request.text));
  return words.join(" ");
}

export function python(request) {
  const token = request.token ? ', "Authorization": "Bearer " + os.environ["TOKEN"]' : "";
  const type = request.type ? `"Content-Type": ${text(request.type)}` : "";
  const headers = `{${(type + token).replace(/^, /, "")}}`;
  const lines = request.token ? ["import os", ""] : [];
  lines.push("import requests", "");
  let body = `${text(request.text)}.encode()`;
  if (request.kind === "json") body = null;
  if (request.kind === "file") {
    lines.push(`with open(${text(request.name || "FILE")}, "rb") as file:`, "    body = file.read()");
    body = "body";
  } else if (request.kind === "json") {
    lines.push(`body = ${literal(request.text)}`);
  }
  lines.push("answer = requests.post(", `    ${text(request.url)},`);
  if (request.kind === "json") {
    lines.push("    json=body,");
    if (request.token) lines.push(`    headers={${token.slice(2)}},`);
  } else {
    lines.push(`    data=${body},`);
    if (headers !== "{}") lines.push(`    headers=${headers},`);
  }
  lines.push(")", "answer.raise_for_status()", "print(answer.text)");
  return lines.join("\n");
}

// What JSON writes for a string, Python reads as the same string.
const text = (value) => JSON.stringify(value);

function literal(source) {
  try {
    return pythonic(JSON.parse(source));
  } catch {
    return "None  # what is typed is not JSON yet";
  }
}

function pythonic(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonic).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, one]) => `${text(key)}: ${pythonic(one)}`).join(", ")}}`;
  }
  return text(value);
}
