* Bard's linear problem with both levels maximising: the leader 4 y - x, the follower -y.
* Answer: x = 4, y = 4, F = 12.
NAME          bard_max
OBJSENSE
    MAX
ROWS
 N  profit
 G  low
 G  ratio
 L  high
 L  slope
COLUMNS
    x         profit          -1   low              1
    x         ratio            2   high             2
    x         slope            3
    y         profit           4   low              1
    y         ratio           -1   high             1
    y         slope           -2
RHS
    RHS       low              3   high            12
    RHS       slope            4
BOUNDS
 FR BND       y
ENDATA
