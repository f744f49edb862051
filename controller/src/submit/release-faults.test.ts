/**
 * Faults of what is to be run, word for word as the user sees them: `line:column path: message`.
 */
import { describe, expect, it } from "vitest";
import { exampleFile, faultLines } from "./example-file.ts";

describe("the top of the file", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a name with capitals",
      exampleFile({ app: "Shop_Web" }),
      [`1:6 app: "Shop_Web" is not an app's name: 1 to 63 of a-z, 0-9 and -, with no - at either end (try shop-web)`],
    ],
    [
      "a name with a hyphen at its end",
      exampleFile({ app: "web-" }),
      [`1:6 app: "web-" is not an app's name: 1 to 63 of a-z, 0-9 and -, with no - at either end (try web)`],
    ],
    [
      "a number for a name",
      exampleFile({ app: "10" }),
      ['1:6 app: 10 is a number where text is wanted: write "10"'],
    ],
    [
      "an empty name",
      exampleFile({ app: "" }),
      ["1:1 app: empty: an app's name, for example shop-web"],
    ],
    [
      "a version with a slash",
      exampleFile({ version: "1/2" }),
      ['2:10 version: "1/2" is not a version: 1 to 64 of A-Z, a-z, 0-9 and . + _ -, beginning with a letter or digit'],
    ],
    [
      "a list for a version",
      exampleFile({ version: "[1]" }),
      ["2:10 version: a list where text is wanted: a version, for example 1.4.2"],
    ],
    [
      "a boolean for a version",
      exampleFile({ version: "true" }),
      ['2:10 version: true is a boolean where text is wanted: write "true"'],
    ],
    [
      "a negative version",
      exampleFile({ version: "-1" }),
      ['2:10 version: "-1" is not a version: 1 to 64 of A-Z, a-z, 0-9 and . + _ -, beginning with a letter or digit'],
    ],
    [
      "an empty artifact",
      exampleFile({ artifact: '""' }),
      ['3:11 artifact: "" is not the path of an artifact: write a directory or an archive, such as ./dist'],
    ],
    [
      "a map for an artifact",
      exampleFile({ artifact: "{ path: x }" }),
      ["3:11 artifact: a map where text is wanted: the path of an artifact, for example ./dist"],
    ],
    [
      "a misspelt key",
      exampleFile({ end: "helth: []\n" }),
      ['8:1 helth: unknown key "helth"; did you mean "health"? (allowed here: app, version, artifact, run, health, rollout)'],
    ],
    [
      "a key of run at the top",
      exampleFile({ end: "command: [x]\n" }),
      ['8:1 command: unknown key "command"; it belongs in run (allowed here: app, version, artifact, run, health, rollout)'],
    ],
    [
      "a key of rollout at the top",
      exampleFile({ end: "waves: [1]\n" }),
      ['8:1 waves: unknown key "waves"; it belongs in rollout (allowed here: app, version, artifact, run, health, rollout)'],
    ],
    [
      "a key that means nothing",
      exampleFile({ end: "replicas: 3\n" }),
      ['8:1 replicas: unknown key "replicas" (allowed here: app, version, artifact, run, health, rollout)'],
    ],
    [
      "a merge key",
      exampleFile({ end: "<<: { app: x }\n" }),
      ['8:1 ["<<"]: unknown key "<<"; merge keys are no part of YAML 1.2, write the keys out (allowed here: app, version, artifact, run, health, rollout)'],
    ],
    [
      "missing keys",
      "app: web\n",
      [
        "1:1 version: missing: a version, for example 1.4.2",
        "1:1 artifact: missing: the path of an artifact, for example ./dist",
        "1:1 run: missing: how to run the release, for example { command: [node, server.js] }",
        "1:1 rollout: missing: which machines, and how to go through them, for example { targets: role=web }",
      ],
    ],
    [
      "keys without values",
      "app:\nversion:\nartifact:\nrun:\nhealth:\nrollout:\n",
      [
        "1:1 app: empty: an app's name, for example shop-web",
        "2:1 version: empty: a version, for example 1.4.2",
        "3:1 artifact: empty: the path of an artifact, for example ./dist",
        "4:1 run: empty: how to run the release, for example { command: [node, server.js] }",
        "5:1 health: empty: a list of probes, for example [{ http: http://127.0.0.1:8080/healthz }]",
        "6:1 rollout: empty: which machines, and how to go through them, for example { targets: role=web }",
      ],
    ],
    [
      "lists and texts for maps",
      "app: web\nversion: 1\nartifact: x\nrun: [x]\nhealth: {}\nrollout: x\n",
      [
        "4:6 run: a list where a map is wanted: how to run the release, for example { command: [node, server.js] }",
        "5:9 health: a map where a list is wanted: a list of probes, for example [{ http: http://127.0.0.1:8080/healthz }]",
        '6:10 rollout: "x" where a map is wanted: which machines, and how to go through them, for example { targets: role=web }',
      ],
    ],
    [
      "a list for a file",
      "- app: web\n",
      ["1:1: the file is a list: a map with the keys app, version, artifact, run, health, rollout is wanted"],
    ],
    [
      "a text for a file",
      "hello\n",
      ["1:1: the file is a single text: a map with the keys app, version, artifact, run, health, rollout is wanted"],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("run", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a missing command",
      exampleFile({ run: "  env: {}" }),
      ["4:1 run.command: missing: the program and its arguments, for example [node, server.js]"],
    ],
    [
      "a text for a command",
      exampleFile({ run: "  command: node server.js --port 80 -v" }),
      ['5:12 run.command: "node server.js --port 80 -v" is text where a list is wanted: write [node, server.js, --port, "80", -v]'],
    ],
    [
      "a shell's text for a command",
      exampleFile({ run: "  command: a && b" }),
      ['5:12 run.command: "a && b" is text where a list is wanted: write [sh, -c, "a && b"]'],
    ],
    [
      "an empty command",
      exampleFile({ run: "  command: []" }),
      ["5:12 run.command: an empty list: the program and its arguments, for example [node, server.js]"],
    ],
    [
      "an empty program",
      exampleFile({ run: "  command: [' ', x]" }),
      ["5:13 run.command[0]: the program's name is empty"],
    ],
    [
      "numbers, nothing and lists in a command",
      exampleFile({ run: "  command: [sleep, 10, null, [x]]" }),
      [
        '5:20 run.command[1]: 10 is a number where text is wanted: write "10"',
        '5:24 run.command[2]: empty: an argument, for example "--verbose"',
        '5:30 run.command[3]: a list where text is wanted: an argument, for example "--verbose"',
      ],
    ],
    [
      "a NUL in a command",
      exampleFile({ run: "  command: [\"a\\0b\"]" }),
      ["5:13 run.command[0]: \"a\\u0000b\" holds a NUL character, which no argument can hold"],
    ],
    [
      "an unknown driver",
      exampleFile({ run: "  driver: proces\n  command: [./app]" }),
      ['5:11 run.driver: "proces" is not one of process, files; did you mean "process"?'],
    ],
    [
      "a number for a driver",
      exampleFile({ run: "  driver: 1" }),
      ["5:11 run.driver: 1 is not one of process, files"],
    ],
    [
      "a command for the files driver",
      exampleFile({ run: "  driver: files\n  command: [./app]\n  stop_timeout: 1s" }),
      [
        "6:3 run.command: the files driver runs nothing, so it takes no command (allowed here: driver, ports, files)",
        "7:3 run.stop_timeout: the files driver runs nothing, so it takes no stop_timeout (allowed here: driver, ports, files)",
      ],
    ],
    [
      "a misspelt key",
      exampleFile({ run: "  command: [./app]\n  prots: {}" }),
      ['6:3 run.prots: unknown key "prots"; did you mean "ports"? (allowed here: driver, command, ports, env, files, stop_timeout)'],
    ],
    [
      "a key of rollout",
      exampleFile({ run: "  command: [./app]\n  waves: []" }),
      ['6:3 run.waves: unknown key "waves"; it belongs in rollout (allowed here: driver, command, ports, env, files, stop_timeout)'],
    ],
    [
      "a key of the top",
      exampleFile({ run: "  command: [./app]\n  health: []" }),
      ['6:3 run.health: unknown key "health"; it belongs at the top of the file (allowed here: driver, command, ports, env, files, stop_timeout)'],
    ],
    [
      "ports that are none",
      exampleFile({ run: "  command: [./app]\n  ports: { a: 0, b: 65536, c: '80', d: any, e: , f: 1.5 }" }),
      [
        "6:15 run.ports.a: 0 is not a port: a number from 1 to 65535, or auto for a free one",
        "6:21 run.ports.b: 65536 is not a port: a number from 1 to 65535, or auto for a free one",
        '6:31 run.ports.c: "80" is text: write 80 without quotes',
        '6:40 run.ports.d: "any" is not a port: a number from 1 to 65535, or auto for a free one',
        "6:45 run.ports.e: empty: a port, for example 8080 or auto",
        "6:53 run.ports.f: 1.5 is not a port: a number from 1 to 65535, or auto for a free one",
      ],
    ],
    [
      "a list of ports",
      exampleFile({ run: "  command: [./app]\n  ports: [80]" }),
      ["6:10 run.ports: a list where a map is wanted: names and ports, for example { http: auto }"],
    ],
    [
      "a port's name with capitals",
      exampleFile({ run: "  command: [./app]\n  ports: { Http: 80 }" }),
      [`6:12 run.ports.Http: "Http" is not a port's name: 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit`],
    ],
    [
      "two ports of one number",
      exampleFile({ run: "  command: [./app]\n  ports: { http: 80, admin: 80, other: 80 }" }),
      [
        '6:29 run.ports.admin: 80 is the port of "http" already: each name needs its own',
        '6:40 run.ports.other: 80 is the port of "http" already: each name needs its own',
      ],
    ],
    [
      "variables of bad names",
      exampleFile({ run: "  command: [./app]\n  env: { 1A: x, A-B: x, MUSTER_APP: x }" }),
      [
        `6:10 run.env["1A"]: "1A" is not a variable's name: letters, digits and _, not beginning with a digit`,
        `6:17 run.env.A-B: "A-B" is not a variable's name: letters, digits and _, not beginning with a digit`,
        `6:25 run.env.MUSTER_APP: "MUSTER_APP" can't be set: names that begin with MUSTER_ are the agent's`,
      ],
    ],
    [
      "variables without a usable value",
      exampleFile({ run: "  command: [./app]\n  env:\n    A:\n    B: []\n    C: {}\n    D: \"\\0\"" }),
      [
        '7:5 run.env.A: empty: write "" for an empty value',
        "8:8 run.env.B: a list where text, a number, true, false or { secret: NAME } is wanted",
        "9:5 run.env.C.secret: missing: a secret's name, for example db-password",
        "10:8 run.env.D: \"\\u0000\" holds a NUL character, which no environment can hold",
      ],
    ],
    [
      "secrets of bad names, and more than the name in one",
      exampleFile({ run: "  command: [./app]\n  env:\n    A: { secret: DB_Password }\n    B: { secret: db, version: 2 }\n    C: { secrt: db }\n    D: { secret: 5 }" }),
      [
        '7:18 run.env.A.secret: "DB_Password" is not a secret\'s name: 1 to 63 of a-z, 0-9 and -, with no - at either end',
        '8:22 run.env.B.version: unknown key "version"; it belongs at the top of the file (allowed here: secret)',
        "9:5 run.env.C.secret: missing: a secret's name, for example db-password",
        '9:10 run.env.C.secrt: unknown key "secrt"; did you mean "secret"? (allowed here: secret)',
        '10:18 run.env.D.secret: 5 is a number where text is wanted: write "5"',
      ],
    ],
    [
      "files of secrets that are none",
      exampleFile({
        run: [
          "  command: [./app]",
          "  files:",
          "    - { path: ../up, secret: a }",
          "    - { path: /etc/passwd, secret: a }",
          "    - { path: a/./b, secret: a }",
          "    - { path: ok, secret: a, mode: 0644 }",
          "    - { path: ok2, secret: a, mode: \"0644\" }",
          "    - { path: ok3 }",
          "    - { path: ok4, secret: a, owner: root }",
          "    - b",
        ].join("\n"),
      }),
      [
        '7:15 run.files[0].path: "../up" is not a path of a secret\'s file: names of A-Z, a-z, 0-9 and . _ -, joined by /, relative to ${secrets_dir}',
        '8:15 run.files[1].path: "/etc/passwd" is not a path of a secret\'s file: names of A-Z, a-z, 0-9 and . _ -, joined by /, relative to ${secrets_dir}',
        '9:15 run.files[2].path: "a/./b" is not a path of a secret\'s file: names of A-Z, a-z, 0-9 and . _ -, joined by /, relative to ${secrets_dir}',
        '10:36 run.files[3].mode: a number where text is wanted: write "0600" or "0400", with the quotes',
        '11:37 run.files[4].mode: "0644" is not one of 0600, 0400',
        "12:7 run.files[5].secret: missing: a secret's name, for example db-password",
        '13:31 run.files[6].owner: unknown key "owner" (allowed here: path, secret, mode)',
        '14:7 run.files[7]: "b" where a map is wanted: a file that holds a secret, for example { path: tls/server.key, secret: tls-key }',
      ],
    ],
    [
      "two files of secrets in one place",
      exampleFile({ run: "  command: [./app]\n  files:\n    - { path: a, secret: a }\n    - { path: a, secret: b }\n    - { path: a/b, secret: b }" }),
      ['8:15 run.files[1].path: "a" stands twice: each file needs a path of its own', '9:15 run.files[2].path: "a/b" and "a": one of them would be a folder'],
    ],
    [
      "a list of variables",
      exampleFile({ run: "  command: [./app]\n  env: [A=b]" }),
      ['6:8 run.env: a list where a map is wanted: names and values, for example { PORT: "${ports.http}" }'],
    ],
    [
      "a stop_timeout without a unit",
      exampleFile({ run: "  command: [./app]\n  stop_timeout: 10" }),
      ["6:17 run.stop_timeout: 10 has no unit: try 10s"],
    ],
    [
      "a stop_timeout past its range",
      exampleFile({ run: "  command: [./app]\n  stop_timeout: 11m" }),
      ["6:17 run.stop_timeout: 11m is too long for stop_timeout: at most 10m"],
    ],
    [
      "a list for a stop_timeout",
      exampleFile({ run: "  command: [./app]\n  stop_timeout: [1s]" }),
      ["6:17 run.stop_timeout: a list is not a duration, for example 10s or 1m30s"],
    ],
    [
      "a key that stands twice",
      exampleFile({ run: "  command: [./app]\n  command: [./other]" }),
      ['6:3 run.command: "command" stands twice; the first is at line 5'],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("${…}", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "an unknown name close to one",
      exampleFile({ run: '  command: [./app, "--id=${machine.ib}"]' }),
      ['5:26 run.command[1]: unknown name "machine.ib"; did you mean "machine.id"? (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME)'],
    ],
    [
      "an unknown name far from all",
      exampleFile({ run: "  command:\n    - ./app\n    - ${HOME}/x" }),
      ['7:7 run.command[1]: unknown name "HOME" (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME; write "$${HOME}" for a plain "${HOME}")'],
    ],
    [
      "a port that is not declared",
      exampleFile({ run: "  command: ['a ${ports.http}']" }),
      ['5:16 run.command[0]: "http" is not in run.ports, which has no ports: add ports: { http: auto } to run'],
    ],
    [
      "a port close to a declared one",
      exampleFile({ run: "  command: [./app]\n  ports: { http: auto }\n  env: { PORT: \"x ${ports.htp}\" }" }),
      ['7:19 run.env.PORT: unknown name "ports.htp"; did you mean "ports.http"? (allowed: machine.id, app, version, release_dir, secrets_dir, ports.http, labels.NAME)'],
    ],
    [
      "a brace that is not closed",
      exampleFile({ run: "  command: [./app]\n  env:\n    A: x${app" }),
      ['7:9 run.env.A: "${" has no "}"; write "$${" for a plain "${"'],
    ],
    [
      "a text of several lines: at its beginning",
      exampleFile({ run: "  command: [./app]\n  env:\n    A: |\n      x\n      ${nope}" }),
      ['7:8 run.env.A: unknown name "nope" (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME; write "$${nope}" for a plain "${nope}")'],
    ],
    [
      "a text with escapes: at its beginning",
      exampleFile({ run: "  command: [./app]\n  env:\n    A: \"\\t${nope}\"" }),
      ['7:8 run.env.A: unknown name "nope" (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME; write "$${nope}" for a plain "${nope}")'],
    ],
    [
      "faults in probes",
      exampleFile({ end: "health:\n  - exec: [./c, '${x}']\n  - tcp: ${host}:80\n  - http: http://${labels.}/\n" }),
      [
        '9:18 health[0].exec[1]: unknown name "x" (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME; write "$${x}" for a plain "${x}")',
        '10:10 health[1].tcp: unknown name "host" (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME; write "$${host}" for a plain "${host}")',
        '11:18 health[2].http: unknown name "labels." (allowed: machine.id, app, version, release_dir, secrets_dir, labels.NAME; write "$${labels.}" for a plain "${labels.}")',
      ],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});
