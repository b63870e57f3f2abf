/* A program that starts fast and exits with its argument. */
#include <stdlib.h>

int main(int n, char **args) { return n > 1 ? atoi(args[1]) : 0; }
