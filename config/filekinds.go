package config

import (
	"fmt"
	"path"
	"strings"

	"github.com/aem-exec/aem-exec/internal/filewatch"
)

// operationsMeaning says what each operation on a file is.
const operationsMeaning = "`create`, `open`, `in` (read), `out` (changed), `close`, `written` (closed after it was open for writing), " +
	"`owner`, `mode` (permissions), `rename`, `remove`"

// operations is a list of operations on files.
func operations(p *filewatch.Op) kind {
	var words, names []string
	for _, op := range filewatch.Ops() {
		words = append(words, op.String())
	}
	return choices(&names, words...).then(func() error {
		*p = 0
		for _, name := range names {
			op, err := filewatch.ParseOp(name)
			if err != nil {
				return err
			}
			*p |= op
		}
		if *p == 0 {
			return fmt.Errorf("want at least one of %s", strings.Join(words, ", "))
		}
		return nil
	})
}

// pattern reports what is neither a name nor a pattern of names.
func pattern(s string) error {
	if _, err := path.Match(s, ""); err != nil || s == "" {
		return fmt.Errorf("%q is no name or pattern", s)
	}
	return nil
}
