#include "textflag.h"

// func addresses() (handler, restorer uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	MOVD	$handle<>(SB), R0
	MOVD	R0, handler+0(FP)
	MOVD	$restore<>(SB), R0
	MOVD	R0, restorer+8(FP)
	RET

// The handler: the number of the signal in R0, struct siginfo at R1. The kernel keeps what was in all registers.
TEXT handle<>(SB), NOSPLIT|NOFRAME, $0
	MOVD	$·inside(SB), R9

enter:
	LDAXRW	(R9), R10
	ADD	$1, R10
	STLXRW	R10, (R9), R11
	CBNZ	R11, enter
	MOVW	·pipe(SB), R0
	TBNZ	$31, R0, out
	MOVD	$128, R2
	MOVD	$64, R8	// write
	SVC
	CMP	$128, R0
	BEQ	out
	MOVD	$·lost(SB), R12

count:
	LDAXR	(R12), R10
	ADD	$1, R10
	STLXR	R10, (R12), R11
	CBNZ	R11, count

out:
	LDAXRW	(R9), R10
	SUB	$1, R10
	STLXRW	R10, (R9), R11
	CBNZ	R11, out
	RET

TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVD	$139, R8	// rt_sigreturn
	SVC
	UNDEF
