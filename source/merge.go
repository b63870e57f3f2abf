package source

import (
	"encoding/json"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
)

// A type whose events can be merged says in its row what becomes of the facts and the data of several; Count, and the
// times of the first and the last, are the supervisor's.

// mergeNewest keeps the facts and the data of the newest.
func mergeNewest(into, e *aem.Event) {
	into.SetFacts(e.Facts)
	into.Data = e.Data
}

// mergedLines says so.
const mergedLines = "the facts are the newest's, and the data has a line for each, its facts as a JSON object, up to 64 KiB"

// mergedMost bounds the data of events that were merged into lines. What comes beyond it is counted only.
const mergedMost = 64 << 10

// mergeLines keeps the facts of the newest, and has the facts of each in a line of data, as a JSON object.
func mergeLines(into, e *aem.Event) {
	if into.Count == 1 {
		into.Data = appendLine(nil, into.Facts)
	}
	into.SetFacts(e.Facts)
	if line := appendLine(nil, e.Facts); len(into.Data)+len(line) <= mergedMost {
		into.Data = append(into.Data, line...)
	}
}

// mergeData keeps the facts of the newest, and has the data of each in a line of its own.
func mergeData(into, e *aem.Event) {
	if into.Count == 1 {
		into.Data = append(slices.Clone(into.Data), '\n')
	}
	into.SetFacts(e.Facts)
	if len(into.Data)+len(e.Data) < mergedMost {
		into.Data = append(append(into.Data, e.Data...), '\n')
	}
}

// appendLine appends facts as a JSON object: numbers as numbers.
func appendLine(line []byte, facts []aem.Fact) []byte {
	line = append(line, '{')
	for i := range facts {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(appendString(line, facts[i].Name), ':')
		if facts[i].Kind == aem.FactNumber {
			line = facts[i].AppendText(line)
		} else {
			line = appendString(line, facts[i].Text())
		}
	}
	return append(line, "}\n"...)
}

func appendString(line []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string always can be
	return append(line, text...)
}
