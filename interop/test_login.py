#!/usr/bin/env python3
"""Digests and CHAP through libiscsi and qemu; data digests, which libiscsi 1.19 does not offer, through initiator.py.

    interop/test_login.py                            all, against iscsicored
    interop/test_login.py --target tgt -k chap       tests whose name contains "chap", against tgt
"""
import random
import struct

import cases
import peers
from cases import MIB
from initiator import COMMAND, FINAL, WRITE_BIT, Closed, LoginRefused, ProtocolError, Session, read10, ready, write10
from tap import Tap

USER, SECRET = "alice", "initiator-secret"
MUTUAL_USER, MUTUAL_SECRET = "bob", "targets-own-secret"


class Digests(cases.Case):
    """CRC32C over headers (libiscsi, qemu) and data (initiator.py)."""

    def test_qemu_io_with_header_digest(self):
        target = self.start(digests=True)
        with Tap(target.port) as tap:
            options = self.image_options(target, portal=f"127.0.0.1:{tap.port}", header_digest="crc32c")
            self.qemu_io(options, "write -P 7 512 1500", "read -P 7 512 1500", "write -P 8 1M 3M", "read -P 8 1M 3M", options=("--image-opts",))
            self.assertIn(b"HeaderDigest=CRC32C", tap.answers())

    def test_libiscsi_url_with_header_digest(self):
        """This option offers `None,CRC32C`: the first that the target takes too is the answer (RFC 7143 section 6.2.1)."""
        target = self.start(digests=True)
        with Tap(target.port) as tap:
            self.tool("iscsi-inq", target.url(port=tap.port) + "?header_digest=crc32c")
            preferred = b"HeaderDigest=None" if target.ours else b"HeaderDigest="
            self.assertIn(preferred, tap.answers())

    def test_an_image_through_header_digests(self):
        target = self.start(digests=True)
        image = self.sparse_image("image", 16 * MIB, seed=6)
        options = self.image_options(target, header_digest="crc32c")
        self.tool("qemu-img", "convert", "-n", "--target-image-opts", "-f", "raw", image, options)
        self.tool("qemu-img", "convert", "--image-opts", "-O", "raw", options, self.folder / "back")
        self.assert_same(image, self.folder / "back")

    def test_both_digests_carry_data(self):
        target = self.start(digests=True)
        data = random.Random(7).randbytes(700 * 512)
        with ready(Session(target.port, peers.TARGET_NAME, digests=True), target.lun()) as session:
            self.assertTrue(session.header_digest and session.data_digest)
            self.assertEqual(session.command(write10(3, 700), target.lun(), data).status, 0)
            task = session.command(read10(3, 700), target.lun(), read=len(data))
            self.assertEqual((task.status, bytes(task.data_in) == data), (0, True))
            self.assertEqual(session.logout(), 0)

    def test_each_digest_alone(self):
        target = self.start(digests=True)
        for keys in ({"HeaderDigest": "None"}, {"DataDigest": "None"}):
            with self.subTest(**keys), ready(Session(target.port, peers.TARGET_NAME, digests=True, keys=keys), target.lun()) as session:
                self.assertNotEqual(session.header_digest, session.data_digest)
                self.assertEqual(session.command(write10(0, 1), target.lun(), b"x" * 512).status, 0)
                self.assertEqual(bytes(session.command(read10(0, 1), target.lun(), read=512).data_in), b"x" * 512)

    def test_a_spoiled_digest_never_writes(self):
        target = self.start(digests=True)
        for spoil in ("header", "data"):
            with self.subTest(spoil=spoil):
                with ready(Session(target.port, peers.TARGET_NAME, digests=True), target.lun()) as session:
                    header = session.header(COMMAND, FINAL | WRITE_BIT, target.lun())
                    struct.pack_into(">I", header, 20, 512)
                    header[32:48] = write10(5, 1).ljust(16, b"\0")
                    session.send(header, b"!" * 512, spoil=spoil)
                    with self.assertRaises((Closed, ProtocolError, TimeoutError)):
                        session.step()
                self.qemu_io(target.url(), "read -P 0 2560 512")


class Chap(cases.Case):
    """Authentication through libiscsi and qemu."""

    def one_way(self):
        return self.start(chap=peers.Chap(USER, SECRET))

    def mutual(self):
        return self.start(chap=peers.Chap(USER, SECRET, MUTUAL_USER, MUTUAL_SECRET))

    def environment(self, secret=SECRET, target_secret=MUTUAL_SECRET):
        return {"LIBISCSI_CHAP_USERNAME": USER, "LIBISCSI_CHAP_PASSWORD": secret,
                "LIBISCSI_CHAP_TARGET_USERNAME": MUTUAL_USER, "LIBISCSI_CHAP_TARGET_PASSWORD": target_secret}

    def test_chap_with_the_right_secret(self):
        target = self.one_way()
        self.assertIn("CONNECTED", self.tool("iscsi-inq", target.url(login=f"{USER}%{SECRET}")))

    def test_chap_with_wrong_secret_wrong_user_or_none_is_refused(self):
        target = self.one_way()
        for login in (f"{USER}%initiator-secres", f"{USER}%x", f"mallory%{SECRET}", ""):
            with self.subTest(login=login):
                self.assertIn("Login Failed", self.tool("iscsi-inq", target.url(login=login), fails=True))

    def test_chap_cannot_be_left_out(self):
        target = self.one_way()
        with self.assertRaises(LoginRefused) as caught:
            Session(target.port, peers.TARGET_NAME)
        self.assertEqual(caught.exception.status >> 8, 2)

    def test_credentials_that_nobody_asks_for(self):
        target = self.start()
        chap = {"LIBISCSI_CHAP_USERNAME": "somebody", "LIBISCSI_CHAP_PASSWORD": "a secret of enough bytes"}
        self.tool("iscsi-ls", "-s", f"iscsi://{target.portal()}", environment=chap)
        self.tool("iscsi-inq", target.url(), environment=chap)

    def test_mutual_chap_with_the_right_secrets(self):
        target = self.mutual()
        self.assertIn("CONNECTED", self.tool("iscsi-inq", target.url(), environment=self.environment()))

    def test_mutual_chap_with_a_wrong_secret_on_either_side(self):
        target = self.mutual()
        for how in ({"secret": "not-the-secret-at-all"}, {"target_secret": "not-the-secret-at-all"}):
            with self.subTest(**how):
                output = self.tool("iscsi-inq", target.url(), environment=self.environment(**how), fails=True)
                self.assertRegex(output, r"(?i)login failed|CHAP")

    def test_one_way_chap_against_a_target_that_could_do_mutual(self):
        target = self.mutual()
        self.assertIn("CONNECTED", self.tool("iscsi-inq", target.url(login=f"{USER}%{SECRET}")))

    def test_chap_through_qemu(self):
        target = self.one_way()
        for secret, fails in ((SECRET, False), ("wrong-secret-here", True)):
            with self.subTest(fails=fails):
                options = ("--object", f"secret,id=s,data={secret}", "--image-opts")
                self.qemu_io(self.image_options(target, user=USER, password_secret="s"), "write -P 1 0 64k", "read -P 1 0 64k", options=options, fails=fails)


if __name__ == "__main__":
    cases.main(__name__, __doc__)
