package spawn

import (
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// run is what the assembly is given and what it reports. The child writes index before each step, so that it names the
// step also when that kills it, and errno when a step fails; then it exits.
type run struct {
	clone sys.CloneArgs
	first *step
	index uintptr
	errno uintptr
	pidfd int32 // written by clone3
	inner int32 // its number as it sees it itself: written by the kernel in the child's name
}

const cloneArgsSize = unsafe.Sizeof(sys.CloneArgs{}) //nolint:unused // the assembly uses it

// The child shares our memory and the lane's stack. CLONE_CLEAR_SIGHAND keeps Go's signal handlers from running there.
const cloneFlags = sys.CLONE_VM | sys.CLONE_VFORK | sys.CLONE_FILES | sys.CLONE_PIDFD | sys.CLONE_CLEAR_SIGHAND |
	sys.CLONE_CHILD_SETTID

// vfork makes a child that runs the steps from r.first on, and returns its pid or a negative error number when the
// child has executed its program or has died.
//
//go:noescape
func vfork(r *run) (pid int)

// clone is vfork as a system call in the eyes of the runtime: the collector and the scheduler go on without this
// thread, however long the child takes. From entersyscall to exitsyscall the stack must not grow nor be looked at.
//
//go:nosplit
//go:norace
//go:noinline
func clone(r *run) int {
	entersyscall()
	pid := vfork(r)
	exitsyscall()
	return pid
}

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()
