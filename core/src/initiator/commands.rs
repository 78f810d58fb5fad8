//! The usual SCSI commands, ready to be sent: SPC-5 and SBC-4.
