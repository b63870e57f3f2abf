package filewatch

import (
	"fmt"
	"strings"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Op is what happened to an entry; as what is asked for, a set of them.
type Op uint16

// The operations. Those from Existing on cannot be asked for: they come as they must.
const (
	Create   Op = 1 << iota // it is there
	Open                    // it was opened
	In                      // its data was read
	Out                     // its data was changed
	Close                   // it was closed
	Written                 // it was closed by somebody who could have written
	Owner                   // it has another owner or group
	Mode                    // it has other permissions
	Rename                  // it has another name, or is in another directory
	Remove                  // it is gone
	Existing                // it was there when the view began
	Overflow                // not of an entry: records were lost, and the difference was told
)

var opNames = [...]string{"create", "open", "in", "out", "close", "written", "owner", "mode", "rename", "remove", "existing", "overflow"}

// Ops are the operations that can be asked for.
func Ops() []Op {
	var all []Op
	for op := Create; op <= Remove; op <<= 1 {
		all = append(all, op)
	}
	return all
}

// String is the names, joined with "|".
func (o Op) String() string {
	var names []string
	for i, name := range opNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// ParseOp reads the name of an operation that can be asked for.
func ParseOp(name string) (Op, error) {
	for _, op := range Ops() {
		if op.String() == name {
			return op, nil
		}
	}
	return 0, fmt.Errorf("no operation %q", name)
}

// structure is what every directory is watched for: which entries it has.
const structure = sys.IN_CREATE | sys.IN_DELETE | sys.IN_MOVED_FROM | sys.IN_MOVED_TO | sys.IN_DELETE_SELF | sys.IN_MOVE_SELF

// masks are the records of the kernel that an operation is told from.
var masks = map[Op]uint32{
	In: sys.IN_ACCESS, Out: sys.IN_MODIFY, Open: sys.IN_OPEN, Close: sys.IN_CLOSE_WRITE | sys.IN_CLOSE_NOWRITE,
	Written: sys.IN_CLOSE_WRITE, Owner: sys.IN_ATTRIB, Mode: sys.IN_ATTRIB,
	Create: structure, Remove: structure, Rename: structure,
}

// mask is what a directory is watched for, for all of the operations.
func (o Op) mask() uint32 {
	m := uint32(structure | sys.IN_ONLYDIR | sys.IN_EXCL_UNLINK)
	for op, records := range masks {
		if o&op != 0 {
			m |= records
		}
	}
	return m
}
