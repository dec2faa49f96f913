# A CSV as an HTML table. columns: names to show, blanks between them, "" = all; verdicts become classes.
#   awk -v columns="a b" -f plots/csv.awk -f plots/table.awk FILE.csv

function html(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); return s }
{ sub(/\r$/, "") }
/^#/ || /^$/ { next }
!n {
    n = split_csv($0, name)
    m = split(columns, show, " ")
    if (m == 0) for (i = 1; i <= n; i++) show[++m] = name[i]
    for (i = 1; i <= n; i++) at[name[i]] = i
    print "<div class=wide><table><tr>"
    for (i = 1; i <= m; i++) printf "<th>%s</th>", html(show[i])
    print "</tr>"
    next
}
{
    split_csv($0, field)
    printf "<tr>"
    for (i = 1; i <= m; i++) {
        v = (show[i] in at) ? field[at[show[i]]] : ""
        class = v ~ /^(PASS|FAIL|UNDERPOWERED|REPORTED|MISSING)$/ ? " class=" v : v ~ /^-?[0-9.]+(e-?[0-9]+)?$/ ? " class=num" : ""
        printf "<td%s>%s</td>", class, html(v)
    }
    print "</tr>"
}
END { if (n) print "</table></div>" }
