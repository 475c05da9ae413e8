# A C project: built, tested, changed, built again, cleaned.
set -eu
mkdir src include
cat >include/sum.h <<'END'
int sum(const int *numbers, int count);
int largest(const int *numbers, int count);
END
cat >src/sum.c <<'END'
#include "sum.h"
int sum(const int *numbers, int count) { int all = 0; while (count--) all += *numbers++; return all; }
END
cat >src/largest.c <<'END'
#include "sum.h"
int largest(const int *numbers, int count) { int most = *numbers; while (count--) { if (*numbers > most) most = *numbers; numbers++; } return most; }
END
cat >src/main.c <<'END'
#include <stdio.h>
#include "sum.h"
int main(void) { int numbers[] = {3, 9, 4}; printf("%d %d\n", sum(numbers, 3), largest(numbers, 3)); return 0; }
END
cat >Makefile <<'END'
CFLAGS = -O1 -Wall -I include
objects = build/sum.o build/largest.o build/main.o
program: $(objects)
	$(CC) -o $@ $(objects)
build/%.o: src/%.c include/sum.h
	mkdir -p build
	$(CC) $(CFLAGS) -c -o $@ $<
check: program
	./program >actual
	echo '16 9' | cmp - actual
clean:
	rm -rf build program actual
.PHONY: check clean
END
make --silent
./program
make --silent check
sed -i 's/-O1/-O2/' Makefile
touch src/sum.c
make --silent check
make --silent clean
find . -type f | sort
