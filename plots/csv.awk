# The fields of one line of CSV (RFC 4180, no line breaks inside a field); returns how many.
function split_csv(line, field,   n, i, c, quoted, text) {
    n = 0; text = ""; quoted = 0
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (quoted) {
            if (c != "\"") text = text c
            else if (substr(line, i + 1, 1) == "\"") { text = text c; i++ }
            else quoted = 0
        }
        else if (c == "\"") quoted = 1
        else if (c == ",") { field[++n] = text; text = "" }
        else text = text c
    }
    field[++n] = text
    return n
}
