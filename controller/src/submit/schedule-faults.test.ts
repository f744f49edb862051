/**
 * Faults of when a rollout may go on, how many at once, and what it does about silent machines, word for word as the user sees them.
 */
import { describe, expect, it } from "vitest";
import { exampleFile, faultLines, ROLLOUT_KEYS } from "./example-file.ts";

const rollout = (lines: string): string => exampleFile({ rollout: `  targets: role=web\n${lines}` });

describe("window", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a cron line for the map",
      rollout('  window: "0 2 * * *"'),
      ['8:11 rollout.window: "0 2 * * *" where a map is wanted: when targets may be started, for example { cron: "0 2 * * 1-5", duration: 4h }'],
    ],
    [
      "missing keys",
      rollout("  window: {}"),
      [
        '8:3 rollout.window.cron: missing: a cron, for example "0 2 * * 1-5"',
        "8:3 rollout.window.duration: missing: the duration of a window, for example 10s",
      ],
    ],
    [
      "misspelt keys",
      rollout('  window: { cron: "0 2 * * *", duration: 4h, timezone: UTC }'),
      ['8:46 rollout.window.timezone: unknown key "timezone"; did you mean "time_zone"? (allowed here: cron, duration, time_zone)'],
    ],
    [
      "a cron line that begins with a star, without quotes",
      rollout("  window:\n    cron: */5 2,3 * * 1-5\n    duration: 1h"),
      ['9:11: YAML reads text that begins with * as an alias: put it in quotes: "*/5 2,3 * * 1-5"'],
    ],
    [
      "a cron line of stars in braces, without quotes",
      rollout("  window: { cron: * * * * *, duration: 1h }"),
      ['8:19: YAML reads text that begins with * as an alias: put it in quotes: "* * * * *"'],
    ],
    [
      "a cron line with a field too many, as with seconds",
      rollout('  window: { cron: "0 0 2 * * *", duration: 1h }'),
      [
        '8:19 rollout.window.cron: "0 0 2 * * *" has 6 fields: five fields are expected (minute, hour, day of month, month, day of week), for example 0 22 * * MON-FRI',
      ],
    ],
    [
      "a nickname",
      rollout('  window: { cron: "@daily", duration: 1h }'),
      [
        '8:19 rollout.window.cron: "@daily" has 1 field: five fields are expected (minute, hour, day of month, month, day of week), for example 0 22 * * MON-FRI',
      ],
    ],
    [
      "a field that is out of its range",
      rollout('  window: { cron: "0 25 * * *", duration: 1h }'),
      ['8:19 rollout.window.cron: "0 25 * * *" is not a cron: 25 is not an hour: 0 to 23 are allowed'],
    ],
    [
      "a field that can't be read",
      rollout('  window: { cron: "0 0 * * ?", duration: 1h }'),
      [
        '8:19 rollout.window.cron: "0 0 * * ?" is not a cron: "?" is not understood as a day of week: *, 0 to 7 and SUN to SAT, ranges such as MON-FRI, steps such as */2, and lists of these with commas are',
      ],
    ],
    [
      "a number for a cron line",
      rollout("  window: { cron: 5, duration: 1h }"),
      ['8:19 rollout.window.cron: 5 is a number where text is wanted: a cron, for example "0 2 * * 1-5"'],
    ],
    [
      "a day that never comes",
      rollout('  window: { cron: "0 0 30 2 *", duration: 1h }'),
      ['8:19 rollout.window.cron: "0 0 30 2 *" never comes: no month has such a day'],
    ],
    [
      "a window that is never open",
      rollout('  window: { cron: "0 2 * * *", duration: 0 }'),
      ["8:42 rollout.window.duration: 0 is too short for the duration of a window: at least 1s"],
    ],
    [
      "a window longer than a week",
      rollout('  window: { cron: "0 2 * * *", duration: 169h }'),
      ["8:42 rollout.window.duration: 169h is too long for the duration of a window: at most 7d"],
    ],
    [
      "a city for a time zone",
      rollout('  window: { cron: "0 2 * * *", duration: 1h, time_zone: Berlin }'),
      ['8:57 rollout.window.time_zone: "Berlin" is not a time zone: an IANA name is expected, for example Europe/Berlin or UTC (try Europe/Berlin)'],
    ],
    [
      "a slip in a time zone",
      rollout('  window: { cron: "0 2 * * *", duration: 1h, time_zone: Europe/Berln }'),
      ['8:57 rollout.window.time_zone: "Europe/Berln" is not a time zone: an IANA name is expected, for example Europe/Berlin or UTC (try Europe/Berlin)'],
    ],
    [
      "an abbreviation for a time zone",
      rollout('  window: { cron: "0 2 * * *", duration: 1h, time_zone: CEST }'),
      ['8:57 rollout.window.time_zone: "CEST" is not a time zone: an IANA name is expected, for example Europe/Berlin or UTC'],
    ],
    [
      "an offset for a time zone",
      rollout('  window: { cron: "0 2 * * *", duration: 1h, time_zone: +01:00 }'),
      ['8:57 rollout.window.time_zone: "+01:00" is an offset, not a time zone: an IANA name is expected, for example Europe/Berlin or UTC'],
    ],
    [
      "a key of the window in the rollout",
      rollout('  window: { cron: "0 2 * * *", duration: 1h }\n  time_zone: UTC'),
      [`9:3 rollout.time_zone: unknown key "time_zone"; it belongs in rollout.window (allowed here: ${ROLLOUT_KEYS})`],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("start_at", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a day alone",
      rollout("  start_at: 2026-12-01"),
      ['8:13 rollout.start_at: "2026-12-01" has no time zone: write 2026-12-01T00:00:00Z for UTC, or an offset such as 2026-12-01T00:00:00+01:00'],
    ],
    [
      "a time without a zone",
      rollout("  start_at: 2026-12-01T08:00:00"),
      ['8:13 rollout.start_at: "2026-12-01T08:00:00" has no time zone: write 2026-12-01T08:00:00Z for UTC, or an offset such as 2026-12-01T08:00:00+01:00'],
    ],
    [
      "a blank for the T, and no seconds",
      rollout("  start_at: 2026-12-01 08:00Z"),
      ['8:13 rollout.start_at: "2026-12-01 08:00Z" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00Z'],
    ],
    [
      "an offset without a colon",
      rollout("  start_at: 2026-12-01T08:00:00+0100"),
      ['8:13 rollout.start_at: "2026-12-01T08:00:00+0100" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00+01:00'],
    ],
    [
      "a day that its month does not have",
      rollout("  start_at: 2026-02-29T08:00:00Z"),
      ['8:13 rollout.start_at: "2026-02-29T08:00:00Z" is not a time: that month has 28 days'],
    ],
    [
      "a month that no year has",
      rollout("  start_at: 2026-13-01T08:00:00Z"),
      ['8:13 rollout.start_at: "2026-13-01T08:00:00Z" is not a time: a month, day, hour, minute, second or offset is out of its range'],
    ],
    [
      "words",
      rollout("  start_at: tomorrow"),
      ['8:13 rollout.start_at: "tomorrow" is not a time: write date, time and time zone, for example 2026-12-01T08:00:00Z'],
    ],
    [
      "a number",
      rollout("  start_at: 1764576000"),
      ["8:13 rollout.start_at: 1764576000 is a number where text is wanted: when the rollout begins, for example 2026-12-01T08:00:00Z"],
    ],
    [
      "a duration",
      rollout("  start_at: 2h"),
      ['8:13 rollout.start_at: "2h" is not a time: write date, time and time zone, for example 2026-12-01T08:00:00Z'],
    ],
    [
      "no value",
      rollout("  start_at:"),
      ["8:3 rollout.start_at: empty: when the rollout begins, for example 2026-12-01T08:00:00Z"],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("after", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a duration, which is a wave's",
      rollout("  after: 2h"),
      [
        '8:10 rollout.after: "2h" where a map is wanted: the deployment to begin after, for example { deployment_of: shop-web, targets: env=staging, soak: 1h }; to let a wave wait, write after: 2h in the wave; to begin later, start_at',
      ],
    ],
    [
      "an app alone",
      rollout("  after: shop-web"),
      [
        '8:10 rollout.after: "shop-web" where a map is wanted: the deployment to begin after, for example { deployment_of: shop-web, targets: env=staging, soak: 1h }',
      ],
    ],
    [
      "missing keys",
      rollout("  after: {}"),
      [
        "8:3 rollout.after.deployment_of: missing: an app's name, for example shop-web",
        '8:3 rollout.after.targets: missing: a selector of machines, for example "role=web,env in (prod,staging)"',
      ],
    ],
    [
      "values that are none",
      rollout("  after: { deployment_of: Shop, targets: a b, soak: 1w }"),
      [
        `8:27 rollout.after.deployment_of: "Shop" is not an app's name: 1 to 63 of a-z, 0-9 and -, with no - at either end (try shop)`,
        '8:44 rollout.after.targets: not a selector: "b" where one of = == != in notin was expected',
        '8:53 rollout.after.soak: "1w" is not a duration, for example 10s or 1m30s; "w" is not a unit: ns us ms s m h d are',
      ],
    ],
    [
      "a misspelt key",
      rollout("  after: { deployment: web, targets: env=staging }"),
      [
        "8:3 rollout.after.deployment_of: missing: an app's name, for example shop-web",
        '8:12 rollout.after.deployment: unknown key "deployment"; did you mean "deployment_of"? (allowed here: deployment_of, targets, soak)',
      ],
    ],
    [
      "its own deployment, in whichever form",
      rollout("  after: { deployment_of: web, targets: 'role in (web)' }"),
      ["8:41 rollout.after.targets: this deployment would wait for itself: name another app, or the targets that have the release first"],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("priority, offline and late_joiners", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a priority out of range",
      rollout("  priority: 101"),
      ["8:13 rollout.priority: 101 is not a priority: a whole number from -100 to 100 is wanted"],
    ],
    [
      "a priority in quotes",
      rollout("  priority: '5'"),
      ['8:13 rollout.priority: "5" is not a priority: a whole number from -100 to 100 is wanted: write 5 without quotes'],
    ],
    [
      "a wait with a blank, which YAML takes for a key",
      rollout("  offline: wait: 30m"),
      ['8:12: a second ": " on one line: put the value in quotes, or its keys on lines of their own'],
    ],
    [
      "a wait with a blank in quotes",
      rollout("  offline: 'wait: 30m'"),
      ['8:12 rollout.offline: "wait: 30m" is not one of skip, wait, wait:30m: write wait:30m'],
    ],
    [
      "a map",
      rollout("  offline: { wait: 30m }"),
      ["8:12 rollout.offline: a map where text is wanted: write wait:30m, without a blank"],
    ],
    [
      "a duration alone",
      rollout("  offline: 30m"),
      ['8:12 rollout.offline: "30m" is not one of skip, wait, wait:30m: write wait:30m'],
    ],
    [
      "a wait without a unit",
      rollout("  offline: wait:30"),
      ["8:12 rollout.offline: 30 has no unit: try 30s"],
    ],
    [
      "a wait that is none",
      rollout("  offline: wait:0s"),
      ["8:12 rollout.offline: 0s is too short for offline: at least 1s"],
    ],
    [
      "a wait that is longer than timers hold",
      rollout("  offline: wait:500h"),
      ["8:12 rollout.offline: 500h is too long for offline: at most 20d"],
    ],
    [
      "a misspelt choice",
      rollout("  offline: skpi"),
      ['8:12 rollout.offline: "skpi" is not one of skip, wait, wait:30m; did you mean "skip"?'],
    ],
    [
      "a list",
      rollout("  offline: [skip]"),
      ["8:12 rollout.offline: a list is not one of skip, wait, wait:30m"],
    ],
    [
      "no value",
      rollout("  offline:"),
      ["8:3 rollout.offline: empty: what to do about silent machines, for example skip"],
    ],
    [
      "a misspelt choice of late_joiners",
      rollout("  late_joiners: deply"),
      ['8:17 rollout.late_joiners: "deply" is not one of deploy, ignore; did you mean "deploy"?'],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("order and start", () => {
  const KEYS = "id, -id, shuffle, or a label's name such as zone or -zone";

  it.each<readonly [string, string, readonly string[]]>([
    ["Ansible's word", rollout("  order: reverse_sorted"), ['8:10 rollout.order: "reverse_sorted" is no order: write -id']],
    ["a shuffle backwards", rollout("  order: -shuffle"), ['8:10 rollout.order: "-shuffle" is no order: write shuffle']],
    ["what is no label's name", rollout("  order: zone desc"), [`8:10 rollout.order: "zone desc" is nothing to order machines by: ${KEYS} is wanted`]],
    ["a plus", rollout("  order: +id"), [`8:10 rollout.order: "+id" is nothing to order machines by: ${KEYS} is wanted`]],
    ["a number", rollout("  order: 1"), [`8:10 rollout.order: 1 where text is wanted: what to order machines by: ${KEYS}`]],
    ["a map", rollout("  order: { zone: desc }"), [`8:10 rollout.order: a map where text is wanted: what to order machines by: ${KEYS}`]],
    ["no value", rollout("  order:"), [`8:3 rollout.order: empty: what to order machines by: ${KEYS}`]],
    ["an empty list", rollout("  order: []"), ["8:10 rollout.order: an empty list: what to order machines by, for example [-zone, id]"]],
    ["a bad key in a list, at its place", rollout("  order: [zone, a b]"), [`8:17 rollout.order[1]: "a b" is nothing to order machines by: ${KEYS} is wanted`]],
    ["a list in the list", rollout("  order: [[zone]]"), [`8:11 rollout.order[0]: a list where text is wanted: what to order machines by: ${KEYS}`]],
    ["more keys than allowed", rollout("  order: [a, b, c, d, e, f, g, h, i]"), ["8:10 rollout.order: 9 entries: at most 8 are allowed"]],
    ["a key after one that decides all", rollout("  order: [-id, zone]"), ["8:16 rollout.order[1]: -id before it leaves nothing to order: put it last, or take it out"]],
    ["a label twice", rollout("  order: [zone, rack, -zone]"), ['8:23 rollout.order[2]: "zone" stands before already: take out one of the two']],
    ["an unknown start", rollout("  start: manually"), ['8:10 rollout.start: "manually" is not one of auto, manual; did you mean "manual"?']],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("how many at once", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a list for spread",
      rollout("  spread: [zone]"),
      ["8:11 rollout.spread: a list where text is wanted: a label's name, for example zone"],
    ],
    [
      "a selector for spread",
      rollout("  spread: zone=a"),
      [
        `8:11 rollout.spread: "zone=a" is not a label's name: letters, digits, ., _ and -, beginning and ending with a letter or digit, for example zone (try zone)`,
      ],
    ],
    [
      "what no label can be named",
      rollout("  spread: -zone"),
      [`8:11 rollout.spread: "-zone" is not a label's name: letters, digits, ., _ and -, beginning and ending with a letter or digit, for example zone`],
    ],
    [
      "one number for every label",
      rollout("  max_unavailable_per: 2"),
      ["8:24 rollout.max_unavailable_per: 2 where a map is wanted: labels, and how many targets that share a value of each, for example { zone: 2 }"],
    ],
    [
      "a list of labels",
      rollout("  max_unavailable_per: [zone]"),
      ["8:24 rollout.max_unavailable_per: a list where a map is wanted: labels, and how many targets that share a value of each, for example { zone: 2 }"],
    ],
    [
      "what is no number of machines, or no label",
      rollout('  max_unavailable_per: { zone: 50%, rack: 0, "a b": 1, host: }'),
      [
        '8:32 rollout.max_unavailable_per.zone: "50%" is not a number of machines: a whole number from 1 to 1000000 is wanted',
        "8:43 rollout.max_unavailable_per.rack: 0 is not a number of machines: a whole number from 1 to 1000000 is wanted",
        `8:46 rollout.max_unavailable_per["a b"]: "a b" is not a label's name: letters, digits, ., _ and -, beginning and ending with a letter or digit, for example zone`,
        "8:56 rollout.max_unavailable_per.host: empty: a number of machines, for example 1",
      ],
    ],
    [
      "more labels than allowed",
      rollout("  max_unavailable_per: { l0: 1, l1: 1, l2: 1, l3: 1, l4: 1, l5: 1, l6: 1, l7: 1, l8: 1, l9: 1, l10: 1, l11: 1, l12: 1, l13: 1, l14: 1, l15: 1, l16: 1 }"),
      ["8:24 rollout.max_unavailable_per: more than 16 labels"],
    ],
    [
      "spread and a number for one label",
      rollout("  spread: zone\n  max_unavailable_per: { rack: 1, zone: 2 }"),
      [
        `9:41 rollout.max_unavailable_per.zone: "zone" is spread's label already, which lets one value of it be on the move at a time: take out one of the two`,
      ],
    ],
    [
      "a max_unreachable below 0",
      rollout("  max_unreachable: -1"),
      ['8:20 rollout.max_unreachable: -1 is too small: at least 0, or a percentage such as "10%"'],
    ],
    [
      "a max_unreachable above all",
      rollout("  max_unreachable: 101%"),
      ['8:20 rollout.max_unreachable: "101%" is not from 0% to 100%'],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});
