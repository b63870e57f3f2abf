package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

const docsHead = `# The configuration file

<!-- Written by "go generate ./config" from the table of keys: edit that. -->

` + "`aem-exec run -c aem.toml`" + ` reads one TOML file. It declares apps; an app has handlers, which say what runs, and events, which
say when. ` + "`aem-exec check`" + ` tells everything that is wrong with a file at once, each with its line:

    aem.toml:12: app.web.event.hello: unknown type "socket.acept" (did you mean socket.accept?)

A small file:

    [app.web.handler.hello]
    exec     = ["./hello"]
    handover = "socket"

    [app.web.event.hello]
    type     = "socket.accept"
    listen   = "tcp://127.0.0.1:7007"
    handler  = "hello"

* Names of apps, handlers and events begin with a small letter, then small letters, digits, ` + "`_` and `-`" + `; 63 at most.
* Durations are Go's with days, as ` + "`\"500ms\"`, `\"2s\"`, `\"1d12h\"`" + `. Sizes are numbers of bytes or end in K, M, G or KiB, MiB, GiB,
  all counting in 1024.
* Paths are relative to the folder of the file.
* Text with facts: ` + "`{name}`" + ` is replaced, ` + "`{{`" + ` is a brace, and a ` + "`}`" + ` outside a placeholder is itself.
* An unknown key is an error, and so is one that is listed here as not supported yet. Nothing is ignored.
* Editors check the file while it is written with ` + "`#:schema aem.schema.json`" + ` in its first line.
`

const boostText = `
## [app.NAME.boost]

The thread that runs a handler is raised by the events that wait for it, and put back when none does. A level holds from a priority
on, up to the next one, and never makes a thread less urgent than it is by itself:

    [app.shop.boost]
    5  = { slice = "1ms" }
    10 = { nice = -5 }
    15 = { realtime = 10 }

[delivery.md](delivery.md#order) says when, and which thread. Callbacks need none: they run on the loop. A level states one of these, or nice and slice together:
`

// Docs is docs/config.md: every key with its default and meaning.
func Docs() []byte {
	var b bytes.Buffer
	b.WriteString(docsHead)
	section(&b, "[supervisor]", supervisorKeys(new(supervisor.Options)))
	a := new(app)
	section(&b, "[app.NAME]", accountKeys(a))
	fmt.Fprint(&b, boostText)
	rows(&b, levelKeys(new(executor.Level)))
	section(&b, "[app.NAME.limits]", limitKeys(a))
	section(&b, "[app.NAME.policy]", slices.Concat(policyKeys(&a.policy), confinementKeys(&a.confinement)))
	spec := new(executor.Spec)
	section(&b, "[app.NAME.handler.HANDLER]", commonKeys(spec))
	fmt.Fprintf(&b, "\nFor agents `process` and `thread`:\n")
	rows(&b, schedulingKeys(spec))
	fmt.Fprintf(&b, "\nFor agent `thread`:\n")
	rows(&b, threadKeys(spec))
	fmt.Fprintf(&b, "\nFor agent `process`:\n")
	rows(&b, processKeys(spec))
	fmt.Fprintf(&b, "\nHandover `direct` goes with every life, the others with `cold` only.\n\nFor agents `callback` and `thread`:\n")
	rows(&b, functionKeys(spec))
	fmt.Fprintf(&b, "\nArguments of `call = \"log\"`:\n")
	rows(&b, new(logArgs).keys())
	fmt.Fprintf(&b, "\nArguments of `call = \"emit\"`:\n")
	rows(&b, new(emitArgs).keys())
	e := new(event)
	section(&b, "[app.NAME.event.EVENT]", eventKeys(e))
	fmt.Fprintf(&b, "\nFacts of every type: %s. [events.md](events.md) tells what the facts and the data of each type are.\n", code(commonFacts()))
	typeSections(&b, eventTypes(e))
	return b.Bytes()
}

// typeSections writes what each type of event adds.
func typeSections(b *bytes.Buffer, types []eventType) {
	var later []string
	for _, t := range types {
		if t.spec == nil {
			later = append(later, t.name)
			continue
		}
		fmt.Fprintf(b, "\n### type = %q\n\n%s", t.name, t.doc)
		if facts := t.factNames(); len(facts) > 0 {
			fmt.Fprintf(b, " Facts: %s.", code(facts))
		}
		b.WriteString("\n")
		rows(b, t.keys)
	}
	fmt.Fprintf(b, "\nTypes that are not supported yet: %s.\n", code(later))
}

func section(b *bytes.Buffer, title string, keys []key) {
	fmt.Fprintf(b, "\n## %s\n", title)
	rows(b, keys)
}

// rows writes keys as one table, those of tables in them as `table.key`, and the reserved ones below it.
func rows(b *bytes.Buffer, keys []key) {
	var later []string
	fmt.Fprintf(b, "\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n")
	for _, k := range keys {
		switch {
		case k.kind.name == laterName:
			later = append(later, k.name)
		case k.kind.rows == nil:
			row(b, k.name, k)
		case k.kind.rows[0].doc == "": // alike, told by their names alone
			var names []string
			for _, r := range k.kind.rows {
				names = append(names, r.name)
			}
			k.kind.name = "table of " + k.kind.rows[0].kind.name + ", for " + code(names)
			row(b, k.name, k)
		default:
			row(b, k.name, k)
			for _, r := range k.kind.rows {
				row(b, k.name+"."+r.name, r)
			}
		}
	}
	if later != nil {
		fmt.Fprintf(b, "\nNot supported yet: %s.\n", code(later))
	}
}

func row(b *bytes.Buffer, name string, k key) {
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, k.kind.name, literal(k.def), k.doc)
}

// code is words in code type.
func code(words []string) string { return "`" + strings.Join(words, "` `") + "`" }
