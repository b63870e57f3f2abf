#include "textflag.h"

// func initCode() *[initCodeSize]byte
TEXT ·initCode(SB), NOSPLIT, $0-8
	MOVD	$cellInit<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// The init of a cell: a program of its own, copied from here. Nobody traces it, and it ends when the other end of the
// pipe on descriptor 0 is closed.
TEXT cellInit<>(SB), NOSPLIT|NOFRAME, $0
	MOVD	$167, R8	// prctl
	MOVD	$4, R0	// PR_SET_DUMPABLE
	MOVD	$0, R1
	SVC
	MOVD	$63, R8	// read
	MOVD	$0, R0
	MOVD	RSP, R1
	MOVD	$1, R2
	SVC
	MOVD	$94, R8	// exit_group
	MOVD	$0, R0
	SVC
	UNDEF
