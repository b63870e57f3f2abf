#include "go_asm.h"
#include "textflag.h"

// func vfork(r *run) (pid int)
//
// The child never touches the stack, which it shares with the parent, and never returns.
// R19 run, R20 step, R21 its index: registers that a system call keeps.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-16
	MOVD	r+0(FP), R19
	ADD	$run_clone, R19, R0
	MOVD	$const_cloneArgsSize, R1
	MOVD	$435, R8	// clone3
	SVC
	CBZ	R0, child
	MOVD	R0, pid+8(FP)
	RET

child:
	MOVD	run_first(R19), R20
	MOVD	$0, R21

loop:
	MOVD	R21, run_index(R19)
	MOVD	step_nr(R20), R8
	MOVD	(step_args+0)(R20), R0
	MOVD	(step_args+8)(R20), R1
	MOVD	(step_args+16)(R20), R2
	MOVD	(step_args+24)(R20), R3
	MOVD	(step_args+32)(R20), R4
	MOVD	(step_args+40)(R20), R5
	MOVD	$const_writePID, R6
	CMP	R6, R8
	BEQ	pid
	SVC
	CMN	$4095, R0
	BCS	fail

next:
	ADD	$step__size, R20
	ADD	$1, R21
	B	loop

// Decimal digits come out last first: count them, then write backwards.
pid:
	MOVD	R0, R9
	MOVD	$172, R8	// getpid
	SVC
	MOVD	R0, R10
	MOVD	$10, R11

count:
	ADD	$1, R9
	UDIV	R11, R10
	CBNZ	R10, count

digit:
	SUB	$1, R9
	UDIV	R11, R0, R10
	MSUB	R10, R0, R11, R12	// R12 = R0 - R10*R11
	ADD	$'0', R12
	MOVB	R12, (R9)
	MOVD	R10, R0
	CBNZ	R0, digit
	B	next

fail:
	NEG	R0, R0
	MOVD	R0, run_errno(R19)
	MOVD	$127, R0
	MOVD	$94, R8	// exit_group
	SVC
	UNDEF	// a filter took exit_group away: die all the same
