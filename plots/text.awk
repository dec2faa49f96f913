# Words for gnuplot.

# A double-quoted string of gnuplot.
function quote(s) { gsub(/[\\"]/, "\\\\&", s); gsub(/\n/, "\\n", s); return "\"" s "\"" }
# Text in which the signs of enhanced text mean themselves.
function plain(s) { gsub(/_/, "\\_", s); gsub(/[{}^@&~]/, "\\\\&", s); return s }
