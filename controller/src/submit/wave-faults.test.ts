/**
 * Faults of waves and gates, word for word as the user sees them: `line:column path: message`.
 */
import { describe, expect, it } from "vitest";
import { exampleFile, faultLines, ROLLOUT_KEYS } from "./example-file.ts";

const rollout = (lines: string): string => exampleFile({ rollout: `  targets: role=web\n${lines}` });

describe("waves", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a percentage for the list",
      rollout("  waves: 10%"),
      ['8:10 rollout.waves: "10%" where a list is wanted: write [10%, 100%]'],
    ],
    [
      "a count for the list",
      rollout("  waves: 5"),
      ["8:10 rollout.waves: 5 where a list is wanted: write [5, 100%]"],
    ],
    [
      "one map for the list",
      rollout("  waves: { size: 10% }"),
      ["8:10 rollout.waves: a map where a list is wanted: the waves, for example [1, 25%, 100%]"],
    ],
    [
      "waves that are neither sizes nor maps",
      rollout("  waves: [true, [5], null, 100%]"),
      [
        '8:11 rollout.waves[0]: true is neither a count nor a percentage (try 10 or "10%")',
        '8:17 rollout.waves[1]: a list is neither a count nor a percentage (try 10 or "10%")',
        '8:22 rollout.waves[2]: empty: a count or a percentage, for example 10 or "10%"',
      ],
    ],
    [
      "a wave that takes nobody",
      rollout("  waves: [{ soak: 5m }, 100%]"),
      ["8:11 rollout.waves[0]: takes nobody: one of size, targets is wanted, for example { size: 10%, soak: 5m }"],
    ],
    [
      "an empty wave",
      rollout("  waves: [{}, 100%]"),
      ["8:11 rollout.waves[0]: takes nobody: one of size, targets is wanted, for example { size: 10%, soak: 5m }"],
    ],
    [
      "a size and a selector in one wave",
      rollout("  waves: [{ size: 1, targets: canary=true }, 100%]"),
      ["8:11 rollout.waves[0]: size and targets in one wave: write a wave for each"],
    ],
    [
      "a misspelt key, and says nothing of the key that it stands for",
      rollout("  waves: [{ szie: 5 }, 100%]"),
      [
        '8:13 rollout.waves[0].szie: unknown key "szie"; did you mean "size"? (allowed here: size, targets, soak, approve, after, at, max_failures, max_unreachable, success_threshold, gates)',
      ],
    ],
    [
      "a misspelt key beside others",
      rollout("  waves:\n    - size: 5\n      sok: 5m\n    - 100%"),
      [
        '10:7 rollout.waves[0].sok: unknown key "sok"; did you mean "soak"? (allowed here: size, targets, soak, approve, after, at, max_failures, max_unreachable, success_threshold, gates)',
      ],
    ],
    [
      "a key of the rollout in a wave",
      rollout("  waves: [{ size: 5, max_unavailable: 1 }, 100%]"),
      [
        '8:22 rollout.waves[0].max_unavailable: unknown key "max_unavailable"; it belongs in rollout (allowed here: size, targets, soak, approve, after, at, max_failures, max_unreachable, success_threshold, gates)',
      ],
    ],
    [
      "keys of a wave in the rollout",
      rollout("  soak: 5m\n  approve: true"),
      [
        `8:3 rollout.soak: unknown key "soak"; it belongs in a wave of rollout.waves (allowed here: ${ROLLOUT_KEYS})`,
        `9:3 rollout.approve: unknown key "approve"; it belongs in a wave of rollout.waves (allowed here: ${ROLLOUT_KEYS})`,
      ],
    ],
    [
      "every value that is none, each at its place",
      rollout("  waves:\n    - size: ten\n      soak: 5\n      approve: yes\n      after: -1h\n      at: noon\n      max_failures: 150%\n      max_unreachable: '1'\n      gates: metric\n      success_threshold: 0\n    - 100%"),
      [
        '9:13 rollout.waves[0].size: "ten" is neither a count nor a percentage (try 10 or "10%")',
        "10:13 rollout.waves[0].soak: 5 has no unit: try 5s",
        '11:16 rollout.waves[0].approve: "yes" where true or false is wanted: write true',
        '12:14 rollout.waves[0].after: "-1h" is negative: a duration begins at 0s',
        '13:11 rollout.waves[0].at: "noon" is not a time: write date, time and time zone, for example 2026-12-01T08:00:00Z',
        '14:21 rollout.waves[0].max_failures: "150%" is not from 0% to 100%',
        '15:24 rollout.waves[0].max_unreachable: "1" is text: write 1 without quotes for a count, or "1%" for a percentage',
        '16:14 rollout.waves[0].gates: "metric" where a list is wanted: the gates, for example [{ webhook: { url: https://ci.example.com/gate } }]',
        '17:26 rollout.waves[0].success_threshold: 0 is too small: at least 1, or a percentage such as "10%"',
      ],
    ],
    [
      "a success_threshold in the last wave",
      rollout("  waves: [{ size: 1, success_threshold: 100% }, { size: 100%, success_threshold: 80% }]"),
      ["8:82 rollout.waves[1].success_threshold: the last wave always waits until all of its targets have settled: success_threshold is for waves before it"],
    ],
    [
      "keys without values",
      rollout("  waves:\n    - size:\n      approve:\n      at:\n    - 100%"),
      [
        '9:7 rollout.waves[0].size: empty: a count or a percentage, for example 10 or "10%"',
        "10:7 rollout.waves[0].approve: empty: whether somebody must approve, for example true",
        "11:7 rollout.waves[0].at: empty: when the wave begins, for example 2026-12-01T08:00:00Z",
      ],
    ],
    [
      "a selector that can't be read, at the character",
      rollout("  waves: [{ targets: 'a=b,=c' }, 100%]"),
      [`8:27 rollout.waves[0].targets: not a selector: "=" where a label's name was expected`],
    ],
    [
      "a map for a selector",
      rollout("  waves: [{ targets: { canary: true } }, 100%]"),
      ['8:22 rollout.waves[0].targets: a map where text is wanted: write "canary=true"'],
    ],
    [
      "sizes that do not rise, in whichever form",
      rollout("  waves: [5, { size: 5 }, { size: 10% }, 10%, { targets: a=b }, { size: 3 }, 100%]"),
      [
        "8:22 rollout.waves[1].size: 5 is not more than 5 before it: waves are cumulative and rise",
        "8:42 rollout.waves[3]: 10% is not more than 10% before it: waves are cumulative and rise",
        "8:73 rollout.waves[5].size: 3 is not more than 5 before it: waves are cumulative and rise",
      ],
    ],
    [
      "sizes that do not rise beside other faults of the same waves",
      rollout("  waves: [{ size: 5, soak: x }, { size: 4, sok: 1m }, 100%]"),
      [
        '8:28 rollout.waves[0].soak: "x" is not a duration, for example 10s or 1m30s; "x" is not a unit: ns us ms s m h d are',
        "8:41 rollout.waves[1].size: 4 is not more than 5 before it: waves are cumulative and rise",
        '8:44 rollout.waves[1].sok: unknown key "sok"; did you mean "soak"? (allowed here: size, targets, soak, approve, after, at, max_failures, max_unreachable, success_threshold, gates)',
      ],
    ],
    [
      "a last wave that is a smaller size",
      rollout("  waves: [1, { size: 99%, soak: 1m }]"),
      ["8:22 rollout.waves[1].size: the last wave is 99%: it must be 100%, so that no machine is left out"],
    ],
    [
      "a last wave that is a selector, though it may select every machine",
      rollout('  waves: [1, { targets: "" }]'),
      ['8:25 rollout.waves[1].targets: the last wave is "": it must be 100%, so that no machine is left out'],
    ],
    [
      "the same selector twice, in whichever form",
      rollout("  waves: [{ targets: 'a in (b,c),d' }, { targets: 'd , a in (c, b)' }, 100%]"),
      ["8:51 rollout.waves[1].targets: selects the machines of waves[0] again: they are in that wave, so nobody would be in this one"],
    ],
    [
      "a time that is before that of a wave before, zones counted",
      rollout("  waves:\n    - { size: 1, at: 2026-12-05T08:00:00+02:00 }\n    - 10%\n    - { size: 100%, at: 2026-12-05T05:59:59.999Z }"),
      ["11:25 rollout.waves[2].at: 2026-12-05T05:59:59.999Z is before waves[0] (2026-12-05T06:00:00Z): a wave begins after those before it"],
    ],
    [
      "a time that is before start_at",
      rollout("  start_at: 2026-12-01T08:00:00Z\n  waves: [{ size: 100%, at: 2026-11-30T08:00:00Z }]"),
      ["9:29 rollout.waves[0].at: 2026-11-30T08:00:00Z is before start_at (2026-12-01T08:00:00Z): a wave begins after those before it"],
    ],
    [
      "a deployment to begin after in a wave",
      rollout("  waves: [{ size: 1, after: { deployment_of: web } }, 100%]"),
      ["8:29 rollout.waves[0].after: a map where a duration is wanted: after another deployment begins a rollout, not a wave; write it in rollout.after"],
    ],
    [
      "an unquoted @, which YAML keeps for itself",
      rollout("  waves: [{ size: 1, at: @noon }, 100%]"),
      [`8:26: text can't begin with "@" in YAML: put it in quotes`],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("gates", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a map for the list",
      rollout("  gates: { webhook: { url: 'http://w/' } }"),
      ["8:10 rollout.gates: a map where a list is wanted: the gates, for example [{ webhook: { url: https://ci.example.com/gate } }]"],
    ],
    [
      "a gate that asks nobody",
      rollout("  gates: [{}]"),
      ["8:11 rollout.gates[0]: asks nobody: one of webhook, prometheus is wanted, for example webhook: { url: https://ci.example.com/gate }"],
    ],
    [
      "two kinds in one gate",
      rollout("  gates:\n    - webhook: { url: http://w/ }\n      prometheus: { url: http://p/, query: up, max: 1 }"),
      ["9:7 rollout.gates[0]: webhook and prometheus in one gate: write a gate for each, as all of them must open"],
    ],
    [
      "a misspelt kind, and says nothing of the kind that it stands for",
      rollout("  gates: [{ webook: { url: 'http://w/' } }]"),
      ['8:13 rollout.gates[0].webook: unknown key "webook"; did you mean "webhook"? (allowed here: webhook, prometheus)'],
    ],
    [
      "an approval among the gates",
      rollout("  gates: [approval]"),
      ['8:11 rollout.gates[0]: "approval" is no gate of this list: write approve: true in a wave'],
    ],
    [
      "a soak among the gates",
      rollout("  gates: [{ soak: 5m }]"),
      ['8:13 rollout.gates[0].soak: unknown key "soak"; it belongs in a wave of rollout.waves (allowed here: webhook, prometheus)'],
    ],
    [
      "a gate outside of the list",
      rollout("  webhook: { url: http://w/ }"),
      [`8:3 rollout.webhook: unknown key "webhook"; it belongs in an entry of gates (allowed here: ${ROLLOUT_KEYS})`],
    ],
    [
      "a URL for a webhook",
      rollout("  gates: [{ webhook: 'http://w/' }]"),
      ['8:22 rollout.gates[0].webhook: "http://w/" where a map is wanted: a webhook, for example { url: https://ci.example.com/gate }'],
    ],
    [
      "misspelt keys of a webhook and of a metric",
      rollout("  gates:\n    - webhook: { url: 'http://w/', retires: 1 }\n    - prometheus: { url: 'http://p/', query: up, max: 1, failures_limit: 1 }"),
      [
        '9:36 rollout.gates[0].webhook.retires: unknown key "retires"; did you mean "retries"? (allowed here: url, timeout, retries, retry_interval, on_silence)',
        '10:58 rollout.gates[1].prometheus.failures_limit: unknown key "failures_limit"; did you mean "failure_limit"? (allowed here: url, query, max, min, timeout, interval, count, failure_limit, retries, on_silence)',
      ],
    ],
    [
      "a key of the one in the other",
      rollout("  gates:\n    - webhook: { url: 'http://w/', query: up }\n    - prometheus: { url: 'http://p/', query: up, max: 1, retry_interval: 1s }"),
      [
        '9:36 rollout.gates[0].webhook.query: unknown key "query"; it belongs in a gate\'s prometheus (allowed here: url, timeout, retries, retry_interval, on_silence)',
        '10:58 rollout.gates[1].prometheus.retry_interval: unknown key "retry_interval"; it belongs in a gate\'s webhook (allowed here: url, query, max, min, timeout, interval, count, failure_limit, retries, on_silence)',
      ],
    ],
    [
      "missing keys",
      rollout("  gates: [{ webhook: {} }, { prometheus: {} }]"),
      [
        "8:13 rollout.gates[0].webhook.url: missing: a URL, for example https://ci.example.com/gate",
        "8:30 rollout.gates[1].prometheus.url: missing: a URL, for example http://prometheus:9090",
        "8:30 rollout.gates[1].prometheus.query: missing: a query, for example error_rate",
        "8:42 rollout.gates[1].prometheus: no limit: at least one of max, min is wanted, for example max: 0.01",
      ],
    ],
    [
      "URLs that are none",
      rollout("  gates:\n    - webhook: { url: ci.example.com/gate }\n    - webhook: { url: ftp://x }\n    - webhook: { url: 'http://a b/' }\n    - webhook: { url: 5 }"),
      [
        '9:23 rollout.gates[0].webhook.url: "ci.example.com/gate" is not a URL: a URL begins with http:// or https:// (try https://ci.example.com/gate)',
        '10:23 rollout.gates[1].webhook.url: "ftp://x" is not a URL: a URL begins with http:// or https://',
        '11:23 rollout.gates[2].webhook.url: "http://a b/" is not a URL, for example https://ci.example.com/gate',
        "12:23 rollout.gates[3].webhook.url: 5 is a number where text is wanted: a URL, for example https://ci.example.com/gate",
      ],
    ],
    [
      "a password in a URL",
      rollout("  gates: [{ webhook: { url: 'https://me:secret@w/' } }]"),
      [
        "8:29 rollout.gates[0].webhook.url: a user name or password in the URL: the file is kept and shown, so it holds no secrets; ask through a proxy that adds them",
      ],
    ],
    [
      "a template in a URL, at the character",
      rollout("  gates: [{ webhook: { url: 'http://w/${app}' } }]"),
      ['8:39 rollout.gates[0].webhook.url: "${…}" is filled in on machines, and this is asked by the controller: write it out'],
    ],
    [
      "the address of Prometheus' query API for that of the server",
      rollout("  gates: [{ prometheus: { url: 'http://p:9090/api/v1/query', query: up, max: 1 } }]"),
      ["8:32 rollout.gates[0].prometheus.url: the address of the server is wanted, without /api/v1 and what follows, for example http://prometheus:9090"],
    ],
    [
      "an empty query",
      rollout("  gates: [{ prometheus: { url: 'http://p:9090', query: '  ', max: 1 } }]"),
      ['8:56 rollout.gates[0].prometheus.query: "  " is not a query: PromQL is wanted, at most 4096 characters'],
    ],
    [
      "a metric without a limit",
      rollout("  gates: [{ prometheus: { url: 'http://p:9090', query: up } }]"),
      ["8:25 rollout.gates[0].prometheus: no limit: at least one of max, min is wanted, for example max: 0.01"],
    ],
    [
      "limits that are no numbers",
      rollout("  gates:\n    - prometheus: { url: 'http://p', query: up, max: 5%, min: '3' }\n    - prometheus: { url: 'http://p', query: up, max: low, min: }\n    - prometheus: { url: 'http://p', query: up, max: .inf, min: .nan }"),
      [
        '9:54 rollout.gates[0].prometheus.max: "5%" is not a number: write 0.05',
        '9:63 rollout.gates[0].prometheus.min: "3" is not a number: write 3 without quotes',
        '10:54 rollout.gates[1].prometheus.max: "low" is not a number, for example 0.01',
        "10:59 rollout.gates[1].prometheus.min: empty: the least value, for example 0.99",
        "11:54 rollout.gates[2].prometheus.max: Infinity is not a number, for example 0.01",
        "11:65 rollout.gates[2].prometheus.min: NaN is not a number, for example 0.99",
      ],
    ],
    [
      "limits between which there is nothing, of the rollout and of a wave",
      rollout("  gates: [{ prometheus: { url: 'http://p', query: up, min: 5, max: 3 } }]\n  waves: [{ size: 100%, gates: [{ prometheus: { url: x, query: up, min: 0.2, max: 0.1 } }] }]"),
      [
        "8:60 rollout.gates[0].prometheus.min: min (5) is greater than max (3): no value could be within",
        '9:54 rollout.waves[0].gates[0].prometheus.url: "x" is not a URL: a URL begins with http:// or https:// (try https://x)',
        "9:73 rollout.waves[0].gates[0].prometheus.min: min (0.2) is greater than max (0.1): no value could be within",
      ],
    ],
    [
      "numbers out of range",
      rollout("  gates:\n    - webhook: { url: 'http://w/', timeout: 10ms, retries: -1, retry_interval: 0 }\n    - prometheus: { url: 'http://p', query: up, max: 1, interval: 2h, timeout: 6m, count: 0, failure_limit: 1001, retries: 1.5 }"),
      [
        "9:45 rollout.gates[0].webhook.timeout: 10ms is too short for timeout: at least 100ms",
        "9:60 rollout.gates[0].webhook.retries: -1 is not a number of retries: a whole number from 0 to 100 is wanted",
        "9:80 rollout.gates[0].webhook.retry_interval: 0 is too short for retry_interval: at least 1s",
        "10:67 rollout.gates[1].prometheus.interval: 2h is too long for interval: at most 1h",
        "10:80 rollout.gates[1].prometheus.timeout: 6m is too long for timeout: at most 5m",
        "10:91 rollout.gates[1].prometheus.count: 0 is not a number of measurements: a whole number from 1 to 1000 is wanted",
        "10:109 rollout.gates[1].prometheus.failure_limit: 1001 is not a number of failures: a whole number from 0 to 1000 is wanted",
        "10:124 rollout.gates[1].prometheus.retries: 1.5 is not a number of retries: a whole number from 0 to 100 is wanted",
      ],
    ],
    [
      "questions of gates more often than the journal should keep",
      rollout("  gates:\n    - webhook: { url: 'http://w/', retry_interval: 999ms }\n    - prometheus: { url: 'http://p', query: up, max: 1, interval: 100ms }"),
      [
        "9:52 rollout.gates[0].webhook.retry_interval: 999ms is too short for retry_interval: at least 1s",
        "10:67 rollout.gates[1].prometheus.interval: 100ms is too short for interval: at least 1s",
      ],
    ],
    [
      "an unknown rule for silence",
      rollout("  gates: [{ webhook: { url: 'http://w/', on_silence: stpo } }]"),
      ['8:54 rollout.gates[0].webhook.on_silence: "stpo" is not one of stop, go, wait; did you mean "stop"?'],
    ],
    [
      "more gates than allowed",
      rollout(`  gates: [${Array(17).fill("{ webhook: { url: 'http://w/' } }").join(", ")}]`),
      ["8:10 rollout.gates: 17 entries: at most 16 are allowed"],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("alarms", () => {
  it.each<readonly [string, string, readonly string[]]>([
    ["one that asks nobody", rollout("  alarms: [{}]"), ["8:12 rollout.alarms[0]: asks nobody: one of webhook, prometheus is wanted, for example webhook: { url: https://ci.example.com/gate }"]],
    [
      "two kinds in one",
      rollout("  alarms: [{ webhook: { url: 'http://w/' }, prometheus: { url: 'http://p/', query: up, max: 1 } }]"),
      ["8:12 rollout.alarms[0]: webhook and prometheus in one alarm: write an alarm for each, as any of them stops the rollout"],
    ],
    [
      "keys of a gate",
      rollout("  alarms: [{ prometheus: { url: 'http://p/', query: up, max: 1, count: 3 } }, { webhook: { url: 'http://w/', retry_interval: 1s } }]"),
      [
        '8:65 rollout.alarms[0].prometheus.count: unknown key "count"; it belongs in a gate\'s prometheus (allowed here: url, query, max, min, timeout, interval, failure_limit, retries, on_silence)',
        '8:110 rollout.alarms[1].webhook.retry_interval: unknown key "retry_interval"; it belongs in a gate\'s webhook (allowed here: url, timeout, interval, failure_limit, retries, on_silence)',
      ],
    ],
    [
      "waiting for one that is silent",
      rollout("  alarms: [{ webhook: { url: 'http://w/', on_silence: wait } }]"),
      ['8:55 rollout.alarms[0].webhook.on_silence: "wait" is not one of stop, go'],
    ],
    [
      "no limit, one that nothing can be within, and an interval that would fill the journal",
      rollout(
        "  alarms: [{ prometheus: { url: 'http://p/', query: up } }, { prometheus: { url: 'http://p/', query: up, max: 1, min: 2 } }, { webhook: { url: 'http://w/', interval: 100ms } }]",
      ),
      [
        "8:26 rollout.alarms[0].prometheus: no limit: at least one of max, min is wanted, for example max: 0.01",
        "8:119 rollout.alarms[1].prometheus.min: min (2) is greater than max (1): no value could be within",
        "8:167 rollout.alarms[2].webhook.interval: 100ms is too short for interval: at least 1s",
      ],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});
