// Package guest boots another kernel in an emulator and runs programs there. A Suite is a Debian suite, from which
// Fetch gets packages and keeps what they hold; a Tree is the files of a guest, packed as the initramfs; a Machine is
// booted with both, and runs the Plan that the tree carries. Nothing is installed or mounted on the host, and no root
// is needed. The program that follows the plan as PID 1 of the guest is test/vm/init.
package guest
