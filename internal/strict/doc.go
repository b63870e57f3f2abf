// Package strict reads JSON as it is meant to be written: a key that is not known, one that is there twice, and a value of
// another type than wanted are mistakes, and each mistake has its line and column. What is read is said by functions, one
// for each kind of value.
//
// It judges the form alone; what values mean is for who reads them, who can find the place of any value afterwards.
package strict
