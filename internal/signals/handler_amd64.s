#include "textflag.h"

// func addresses() (handler, restorer uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	LEAQ	handle<>(SB), AX
	MOVQ	AX, handler+0(FP)
	LEAQ	restore<>(SB), AX
	MOVQ	AX, restorer+8(FP)
	RET

// The handler: the number of the signal in DI, struct siginfo at SI. The kernel keeps what was in all registers.
TEXT handle<>(SB), NOSPLIT|NOFRAME, $0
	LOCK
	INCL	·inside(SB)
	MOVL	·pipe(SB), DI
	TESTL	DI, DI
	JLT	out
	MOVL	$128, DX
	MOVL	$1, AX	// write
	SYSCALL
	CMPQ	AX, $128
	JEQ	out
	LOCK
	INCQ	·lost(SB)

out:
	LOCK
	DECL	·inside(SB)
	RET

TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVL	$15, AX	// rt_sigreturn
	SYSCALL
	UNDEF
