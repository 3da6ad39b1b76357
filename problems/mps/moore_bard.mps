* Moore & Bard 1990, continuous: the leader minimises -x - 10 y, the follower y.
* Answer: x = 8, y = 1, F = -18.
NAME          moore_bard
ROWS
 N  cost
 L  r1
 L  r2
 L  r3
 G  r4
COLUMNS
    x         cost            -1   r1             -25
    x         r2               1   r3               2
    x         r4               2
    y         cost           -10   r1              20
    y         r2               2   r3              -1
    y         r4              10
RHS
    RHS       r1              30   r2              10
    RHS       r3              15   r4              15
ENDATA
