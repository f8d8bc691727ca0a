# Each line of the input is the process id of a server; the last one counts when the input ends.
while read -r line; do
  server=$line
done
if [ -n "$server" ]; then
  # A fast shutdown: PostgreSQL breaks its sessions off, and writes everything to disk.
  kill -INT "$server"
  tries=100
  while kill -0 "$server" && [ "$tries" -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.1 || sleep 1
  done
  if [ "$tries" -eq 0 ]; then
    kill -KILL "$server"
  fi
fi
if [ -n "$1" ]; then
  rm -rf "$1"
fi
