#include "go_asm.h"
#include "textflag.h"

// func vfork(r *run) (pid int)
//
// The child never touches the stack, which it shares with the parent: no CALL, RET or PUSH behind the label child.
// R12 run, R13 step, BX its index: registers that a system call keeps.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ	r+0(FP), R12
	LEAQ	run_clone(R12), DI
	MOVL	$const_cloneArgsSize, SI
	MOVL	$435, AX	// clone3
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	MOVQ	AX, pid+8(FP)
	RET

child:
	MOVQ	run_first(R12), R13
	XORL	BX, BX

loop:
	MOVQ	BX, run_index(R12)
	MOVQ	step_nr(R13), AX
	MOVQ	(step_args+0)(R13), DI
	MOVQ	(step_args+8)(R13), SI
	MOVQ	(step_args+16)(R13), DX
	MOVQ	(step_args+24)(R13), R10
	MOVQ	(step_args+32)(R13), R8
	MOVQ	(step_args+40)(R13), R9
	CMPQ	AX, $const_writePID
	JEQ	pid
	SYSCALL
	CMPQ	AX, $-4095
	JCC	fail

next:
	ADDQ	$step__size, R13
	INCQ	BX
	JMP	loop

// Decimal digits come out last first: count them, then write backwards.
pid:
	MOVL	$39, AX	// getpid
	SYSCALL
	MOVQ	AX, R8
	MOVL	$10, R9

count:
	INCQ	DI
	XORL	DX, DX
	DIVQ	R9
	TESTQ	AX, AX
	JNE	count
	MOVQ	R8, AX

digit:
	DECQ	DI
	XORL	DX, DX
	DIVQ	R9
	ADDL	$'0', DX
	MOVB	DX, (DI)
	TESTQ	AX, AX
	JNE	digit
	JMP	next

fail:
	NEGQ	AX
	MOVQ	AX, run_errno(R12)
	MOVL	$127, DI
	MOVL	$231, AX	// exit_group
	SYSCALL
	UNDEF	// a filter took exit_group away: die all the same
