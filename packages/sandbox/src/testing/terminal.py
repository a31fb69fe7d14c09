"""Runs a program on a terminal of its own and plays a script to it: a line of JSON per action on standard input.

{"expect": text}      waits until the output since the last action holds the text
{"type": text}        types it
{"size": [rows, columns]}
Prints {"status": exit code, "output": all of it, "sane": whether the terminal ended as it began}."""
import fcntl, json, os, select, struct, sys, termios, time

actions = [json.loads(line) for line in sys.stdin]
master, slave = os.openpty()
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.closerange(3, 64)
    os.execv(sys.argv[1], sys.argv[1:])
output, mark, ended = "", 0, False
deadline = time.time() + 20

def read():
    global output, ended
    ready, _, _ = select.select([master], [], [], max(0, deadline - time.time()))
    if not ready:
        print(json.dumps({"status": None, "output": output, "sane": False}))
        os.kill(pid, 9)
        sys.exit(0)
    try:
        data = os.read(master, 65536)
    except OSError:
        data = b""
    ended = not data
    output += data.decode()

for action in actions:
    if "expect" in action:
        while action["expect"] not in output[mark:] and not ended:
            read()
        mark = max(mark, output.find(action["expect"], mark) + len(action["expect"]))
    elif "type" in action:
        os.write(master, action["type"].encode())
    elif "size" in action:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *action["size"], 0, 0))
def exited():
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

while not exited():
    if select.select([master], [], [], 0.05)[0] or time.time() > deadline:
        read()
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
while select.select([master], [], [], 0)[0]:
    output += os.read(master, 65536).decode()
print(json.dumps({"status": status, "output": output, "sane": termios.tcgetattr(slave) == before}))
