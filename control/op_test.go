package control

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestOperations looks at the table itself: what changes things says what it wants, and numbers stay what they are.
func TestOperations(t *testing.T) {
	names := map[string]Op{}
	for op, row := range operations {
		if before, twice := names[row.name]; twice {
			t.Errorf("%s is both %d and %d", row.name, before, op)
		}
		names[row.name] = op
		if row.changes && !row.whole && row.needs == 0 {
			t.Errorf("%s changes things and needs nothing", row.name)
		}
		if row.needs&^row.takes != 0 || (row.needs != 0) != (row.want != "") {
			t.Errorf("%s: needs what it does not take, or does not say what it wants", row.name)
		}
	}
	for op := OpVersion; op <= OpReload; op++ {
		if operations[op].name == "" {
			t.Errorf("operation %d has no row", op)
		}
	}
}

// TestOperationsAreDocumented compares the table with docs/control.md.
func TestOperationsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	for op, row := range operations {
		if line := fmt.Sprintf("| %d | %s |", op, row.name); !strings.Contains(string(page), line) {
			t.Errorf("docs/control.md has no line %q", line)
		}
	}
}
