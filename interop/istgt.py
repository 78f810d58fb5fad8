"""Starts and stops Debian's istgt 0.4, for tests of our initiator. See peers.py.

It is configured by a file, with absolute paths, and knows CHAP by a second file that it reads at each authentication. It
takes InitialR2T=Yes alone. Do not use iscsi-ls on it: that never ends.
"""
import peers

MIB = 1 << 20

HEAD = """\
[Global]
  NodeBase "iqn.2026-01.dev.iscsicore"
  PidFile {folder}/pid
  AuthFile {folder}/auth.conf
  MediaDirectory {folder}
  LogFacility "local7"
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod {authentication}
  DiscoveryAuthGroup AuthGroup1
  MaxSessions 16
  MaxConnections 4
  MaxR2T 32
{keys}
[UnitControl]
  AuthMethod CHAP Mutual
  AuthGroup AuthGroup10000
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:{port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
"""

UNIT = """\
[LogicalUnit{number}]
  TargetName {name}
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod {authentication}
  AuthGroup AuthGroup1
  UseDigest Auto
  UnitType Disk
  QueueDepth 32
"""


class Istgt(peers.Target):
    """istgt in the foreground."""

    kind = "istgt"
    binary = "istgt"
    tuning = {
        "MaxOutstandingR2T": 16, "DefaultTime2Wait": 0, "DefaultTime2Retain": 0, "FirstBurstLength": 262144,
        "MaxBurstLength": 1 * MIB, "MaxRecvDataSegmentLength": 262144, "InitialR2T": "Yes", "ImmediateData": "Yes",
        "DataPDUInOrder": "Yes", "DataSequenceInOrder": "Yes", "ErrorRecoveryLevel": 0,
    }

    def command(self):
        return [peers.find("istgt"), "-D", "-c", str(self.directory / "istgt.conf"), *self.arguments]

    def write_configuration(self):
        keys = {**self.tuning, **self.keys}
        authentication = "CHAP" if self.chap else "None"
        more = {"folder": self.directory, "port": self.port, "authentication": authentication}
        text = HEAD.format(keys="\n".join(f"  {key} {value}" for key, value in keys.items()), **more)
        text += UNIT.format(number=1, name=peers.TARGET_NAME, authentication=authentication)
        for index, disk in enumerate(self.disks):
            path = disk.path or str(self.directory / f"disk{index}")
            peers.make_file(path, disk.size)
            text += f"  LUN{index} Storage {path} {disk.size // MIB}MB\n"
        for index in range(self.others):
            text += UNIT.format(number=index + 2, name=self.other_name(index), authentication="None")
            text += f"  LUN0 Storage {self.directory}/other{index} 1MB\n"
        (self.directory / "istgt.conf").write_text(text)
        path = self.directory / "auth.conf"
        path.write_text(self.accounts())
        path.chmod(0o600)

    def accounts(self):
        """The accounts of the initiators, and one that nobody uses for a portal that is not there."""
        lines = ["[AuthGroup1]"]
        if self.chap:
            words = [self.chap.user, self.chap.secret, self.chap.mutual_user, self.chap.mutual_secret]
            lines.append("  Auth " + " ".join(f'"{word}"' for word in words if word))
        return "\n".join([*lines, "[AuthGroup10000]", '  Auth "controller" "nobody-uses-this"']) + "\n"

    def stop(self, limit=10.0):
        """It ends on SIGTERM, but only two seconds later; there is nothing to learn from that."""
        self.kill()
