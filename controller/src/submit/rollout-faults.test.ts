/**
 * Faults of how it is watched and rolled out, word for word as the user sees them: `line:column path: message`.
 */
import { describe, expect, it } from "vitest";
import { exampleFile, faultLines, ROLLOUT_KEYS } from "./example-file.ts";

describe("health", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "a map for the list",
      exampleFile({ end: "health:\n  http: http://x/\n" }),
      ["9:3 health: a map where a list is wanted: a list of probes, for example [{ http: http://127.0.0.1:8080/healthz }]"],
    ],
    [
      "a text for a probe",
      exampleFile({ end: "health: [http]\n" }),
      ['8:10 health[0]: "http" where a map is wanted: a probe, for example { http: http://127.0.0.1:8080/healthz }'],
    ],
    [
      "a probe that asks nothing",
      exampleFile({ end: "health:\n  - interval: 1s\n" }),
      ["9:5 health[0]: asks nothing: one of http, tcp, exec is wanted, for example http: http://127.0.0.1:${ports.http}/healthz"],
    ],
    [
      "a probe that asks twice",
      exampleFile({ end: "health:\n  - http: http://x/\n    tcp: x:1\n" }),
      ["9:5 health[0]: http and tcp in one probe: write a probe for each, as all of them must hold"],
    ],
    [
      "a URL without a scheme",
      exampleFile({ end: "health:\n  - http: 127.0.0.1:80/healthz\n" }),
      ['9:11 health[0].http: "127.0.0.1:80/healthz" is not a URL: a URL begins with http:// or https:// (try http://127.0.0.1:80/healthz)'],
    ],
    [
      "a URL that is none",
      exampleFile({ end: "health:\n  - http: http://a b/\n" }),
      ['9:11 health[0].http: "http://a b/" is not a URL, for example http://127.0.0.1:8080/healthz'],
    ],
    [
      "a password in a URL",
      exampleFile({ end: "health:\n  - http: http://u:p@x/\n" }),
      ["9:11 health[0].http: a user name or password in the URL: probes send none, use exec with a command of your own"],
    ],
    [
      "a bare port for an address",
      exampleFile({ end: "health:\n  - tcp: 5432\n" }),
      ["9:10 health[0].tcp: 5432 is a number where text is wanted: an address, for example 127.0.0.1:5432"],
    ],
    [
      "an address without a host, and one with a port too high",
      exampleFile({ end: "health:\n  - tcp: ':80'\n  - tcp: x:65536\n" }),
      [
        '9:10 health[0].tcp: ":80" is not an address: write host:port, for example 127.0.0.1:5432',
        '10:10 health[1].tcp: "x:65536" is not an address: write host:port, for example 127.0.0.1:5432 or [::1]:5432',
      ],
    ],
    [
      "a text for exec",
      exampleFile({ end: "health:\n  - exec: ./check.sh | grep ok\n" }),
      ['9:11 health[0].exec: "./check.sh | grep ok" is text where a list is wanted: write [sh, -c, "./check.sh | grep ok"]'],
    ],
    [
      "an interval and a timeout out of range",
      exampleFile({ end: "health:\n  - tcp: x:1\n    interval: 10ms\n    timeout: 2m\n" }),
      [
        "10:15 health[0].interval: 10ms is too short for interval: at least 100ms",
        "11:14 health[0].timeout: 2m is too long for timeout: at most 1m",
      ],
    ],
    [
      "0 where a duration can't be 0",
      exampleFile({ end: "health:\n  - tcp: x:1\n    interval: 0\n" }),
      ["10:15 health[0].interval: 0 is too short for interval: at least 100ms"],
    ],
    [
      "streaks that are none",
      exampleFile({ end: "health:\n  - tcp: x:1\n    healthy_after: 0\n    unhealthy_after: '3'\n" }),
      [
        "10:20 health[0].healthy_after: 0 is not a number of successes: a whole number from 1 to 1000 is wanted",
        '11:22 health[0].unhealthy_after: "3" is not a number of failures: a whole number from 1 to 1000 is wanted: write 3 without quotes',
      ],
    ],
    [
      "a misspelt key",
      exampleFile({ end: "health:\n  - tcp: x:1\n    intervall: 1s\n" }),
      ['10:5 health[0].intervall: unknown key "intervall"; did you mean "interval"? (allowed here: http, tcp, exec, interval, timeout, healthy_after, unhealthy_after)'],
    ],
    [
      "a probe that can't be healthy in time",
      exampleFile({ end: "health:\n  - tcp: x:1\n    interval: 1m\n    healthy_after: 5\n" }),
      ["9:5 health[0]: can never be healthy in time: healthy_after × interval (5 × 1m = 5m) and min_healthy_time (10s, the default) together must be shorter than healthy_deadline (5m, the default)"],
    ],
    [
      "more probes than allowed",
      exampleFile({ end: `health: [${Array(17).fill("{ tcp: 'x:1' }").join(", ")}]\n` }),
      ["8:9 health: 17 entries: at most 16 are allowed"],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});

describe("rollout", () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      "missing targets",
      exampleFile({ rollout: "  waves: [100%]" }),
      ['6:1 rollout.targets: missing: a selector of machines, for example "role=web,env in (prod,staging)"'],
    ],
    [
      "a map for targets",
      exampleFile({ rollout: "  targets: { role: web }" }),
      ['7:12 rollout.targets: a map where text is wanted: write "role=web"'],
    ],
    [
      "a selector that can't be read, at the character",
      exampleFile({ rollout: "  targets: role=web,env on (prod)" }),
      ['7:25 rollout.targets: not a selector: "on" where one of = == != in notin was expected'],
    ],
    [
      "a selector in quotes, at the character",
      exampleFile({ rollout: "  targets: 'role=web,=x'" }),
      [`7:22 rollout.targets: not a selector: "=" where a label's name was expected`],
    ],
    [
      "a selector that ends too early",
      exampleFile({ rollout: "  targets: env in (a" }),
      ['7:21 rollout.targets: not a selector: the end where "," or ")" was expected'],
    ],
    [
      "a label's name that is none",
      exampleFile({ rollout: '  targets: "-role"' }),
      [`7:13 rollout.targets: not a selector: "-role" is not a label's name`],
    ],
    [
      "waves that are no sizes",
      exampleFile({ rollout: "  targets: role=web\n  waves: [1, ten, 0, 0.25, 1.5, -5, 150%, 0%, '5', 12.345%, 100 %, null, [1], 100%]" }),
      [
        '8:14 rollout.waves[1]: "ten" is neither a count nor a percentage (try 10 or "10%")',
        '8:19 rollout.waves[2]: 0 is too small: at least 1, or a percentage such as "10%"',
        '8:22 rollout.waves[3]: 0.25 is neither a count nor a percentage (try "25%")',
        '8:28 rollout.waves[4]: 1.5 is neither a count nor a percentage (try 10 or "10%")',
        '8:33 rollout.waves[5]: -5 is too small: at least 1, or a percentage such as "10%"',
        '8:37 rollout.waves[6]: "150%" is not from 1% to 100%',
        '8:43 rollout.waves[7]: "0%" is not from 1% to 100%',
        '8:47 rollout.waves[8]: "5" is text: write 5 without quotes for a count, or "5%" for a percentage',
        '8:52 rollout.waves[9]: "12.345%" is too exact: a percentage has at most two decimals and no leading zeros',
        '8:61 rollout.waves[10]: "100 %" is neither a count nor a percentage (try "100%")',
        '8:68 rollout.waves[11]: empty: a count or a percentage, for example 10 or "10%"',
        '8:74 rollout.waves[12]: a list is neither a count nor a percentage (try 10 or "10%")',
      ],
    ],
    [
      "no list of waves",
      exampleFile({ rollout: "  targets: role=web\n  waves: 100%" }),
      ['8:10 rollout.waves: "100%" where a list is wanted: write [100%]'],
    ],
    [
      "an empty list of waves",
      exampleFile({ rollout: "  targets: role=web\n  waves: []" }),
      ["8:10 rollout.waves: an empty list: the waves, for example [1, 25%, 100%]"],
    ],
    [
      "waves that do not rise",
      exampleFile({ rollout: "  targets: role=web\n  waves: [5, 25%, 5, 20%, 3, 100%]" }),
      [
        "8:19 rollout.waves[2]: 5 is not more than 5 before it: waves are cumulative and rise",
        "8:22 rollout.waves[3]: 20% is not more than 25% before it: waves are cumulative and rise",
        "8:27 rollout.waves[4]: 3 is not more than 5 before it: waves are cumulative and rise",
      ],
    ],
    [
      "waves that end too early",
      exampleFile({ rollout: "  targets: role=web\n  waves: [1, 50%]" }),
      ["8:14 rollout.waves[1]: the last wave is 50%: it must be 100%, so that no machine is left out"],
    ],
    [
      "waves that end with a count",
      exampleFile({ rollout: "  targets: role=web\n  waves: [50%, 100]" }),
      ["8:16 rollout.waves[1]: the last wave is 100: it must be 100%, so that no machine is left out"],
    ],
    [
      "100% twice",
      exampleFile({ rollout: "  targets: role=web\n  waves: [100%, 100%]" }),
      ["8:17 rollout.waves[1]: 100% is not more than 100% before it: waves are cumulative and rise"],
    ],
    [
      "no machine at once",
      exampleFile({ rollout: "  targets: role=web\n  max_unavailable: 0" }),
      ['8:20 rollout.max_unavailable: 0 is too small: at least 1, or a percentage such as "10%"'],
    ],
    [
      "a max_failures below 0",
      exampleFile({ rollout: "  targets: role=web\n  max_failures: -1%" }),
      ['8:17 rollout.max_failures: "-1%" is not from 0% to 100%'],
    ],
    [
      "far too many machines",
      exampleFile({ rollout: "  targets: role=web\n  max_failures: 1000001" }),
      ['8:17 rollout.max_failures: 1000001 is too large: at most 1000000, or a percentage such as "10%"'],
    ],
    [
      "durations that are none",
      exampleFile({ rollout: "  targets: role=web\n  min_healthy_time: 10\n  healthy_deadline: 1w\n  progress_deadline: -5m" }),
      [
        "8:21 rollout.min_healthy_time: 10 has no unit: try 10s",
        '9:21 rollout.healthy_deadline: "1w" is not a duration, for example 10s or 1m30s; "w" is not a unit: ns us ms s m h d are',
        '10:22 rollout.progress_deadline: "-5m" is negative: a duration begins at 0s',
      ],
    ],
    [
      "a duration finer than a millisecond",
      exampleFile({ rollout: "  targets: role=web\n  min_healthy_time: 1500us" }),
      ['8:21 rollout.min_healthy_time: "1500us" is not a whole number of milliseconds'],
    ],
    [
      "a duration longer than timers hold",
      exampleFile({ rollout: "  targets: role=web\n  progress_deadline: 500h" }),
      ["8:22 rollout.progress_deadline: 500h is too long for progress_deadline: at most 20d"],
    ],
    [
      "min_healthy_time as long as healthy_deadline",
      exampleFile({ rollout: "  targets: role=web\n  min_healthy_time: 2m\n  healthy_deadline: 2m" }),
      ["9:21 rollout.healthy_deadline: min_healthy_time (2m) must be shorter than healthy_deadline (2m)"],
    ],
    [
      "min_healthy_time longer than the default of healthy_deadline",
      exampleFile({ rollout: "  targets: role=web\n  min_healthy_time: 6m" }),
      ["8:21 rollout.min_healthy_time: min_healthy_time (6m) must be shorter than healthy_deadline (5m, the default)"],
    ],
    [
      "healthy_deadline shorter than the default of min_healthy_time",
      exampleFile({ rollout: "  targets: role=web\n  healthy_deadline: 5s" }),
      ["8:21 rollout.healthy_deadline: min_healthy_time (10s, the default) must be shorter than healthy_deadline (5s)"],
    ],
    [
      "healthy_deadline longer than progress_deadline",
      exampleFile({ rollout: "  targets: role=web\n  healthy_deadline: 20m\n  progress_deadline: 15m" }),
      ["9:22 rollout.progress_deadline: healthy_deadline (20m) must be shorter than progress_deadline (15m)"],
    ],
    [
      "an unknown on_failure",
      exampleFile({ rollout: "  targets: role=web\n  on_failure: rolback" }),
      ['8:15 rollout.on_failure: "rolback" is not one of rollback, pause, abort; did you mean "rollback"?'],
    ],
    [
      "an empty on_conflict",
      exampleFile({ rollout: "  targets: role=web\n  on_conflict:" }),
      ["8:3 rollout.on_conflict: empty: what to do on conflict, for example queue"],
    ],
    [
      "a misspelt key",
      exampleFile({ rollout: "  targets: role=web\n  wavs: [1, 100%]" }),
      [`8:3 rollout.wavs: unknown key "wavs"; did you mean "waves"? (allowed here: ${ROLLOUT_KEYS})`],
    ],
    [
      "another spelling of a key",
      exampleFile({ rollout: "  targets: role=web\n  maxUnavailable: 1" }),
      [`8:3 rollout.maxUnavailable: unknown key "maxUnavailable"; did you mean "max_unavailable"? (allowed here: ${ROLLOUT_KEYS})`],
    ],
    [
      "a key from elsewhere",
      exampleFile({ rollout: "  targets: role=web\n  replicas: 1" }),
      [`8:3 rollout.replicas: unknown key "replicas" (allowed here: ${ROLLOUT_KEYS})`],
    ],
  ])("refuses %s", (_title, text, faults) => {
    expect(faultLines(text)).toEqual(faults);
  });
});
