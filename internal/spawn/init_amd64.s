#include "textflag.h"

// func initCode() *[initCodeSize]byte
TEXT ·initCode(SB), NOSPLIT, $0-8
	LEAQ	cellInit<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// The init of a cell: a program of its own, copied from here. Nobody traces it, and it ends when the other end of the
// pipe on descriptor 0 is closed.
TEXT cellInit<>(SB), NOSPLIT|NOFRAME, $0
	MOVL	$157, AX	// prctl
	MOVL	$4, DI	// PR_SET_DUMPABLE
	XORL	SI, SI
	SYSCALL
	XORL	AX, AX	// read
	XORL	DI, DI
	MOVQ	SP, SI
	MOVL	$1, DX
	SYSCALL
	MOVL	$231, AX	// exit_group
	XORL	DI, DI
	SYSCALL
	UNDEF
