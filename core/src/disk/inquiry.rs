//! INQUIRY, SPC-4 clause 6.6, and REQUEST SENSE, clause 6.39.

use super::{LogicalUnit, NexusId, Provisioning, Reply, Request, Step, View};
use crate::scsi::AdditionalSense;
use crate::scsi::vpd::{self, Association, BlockLimits, Designator};
use crate::scsi::{FieldPointer, Sense, SenseFormat, SenseKey, StandardInquiry, ascii_field};

/// The VPD pages that there are, in ascending order.
const VPD_PAGES: [u8; 7] = [
    vpd::SUPPORTED_PAGES,
    vpd::UNIT_SERIAL_NUMBER,
    vpd::DEVICE_IDENTIFICATION,
    vpd::EXTENDED_INQUIRY,
    vpd::BLOCK_LIMITS,
    vpd::BLOCK_DEVICE_CHARACTERISTICS,
    vpd::LOGICAL_BLOCK_PROVISIONING,
];

impl View {
    /// INQUIRY.
    pub(super) fn inquiry(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let page = request.cdb.byte(2);
        let data = match request.cdb.byte(1) & 0x01 {
            0 if page == 0 => Some(self.standard_inquiry().encode().to_vec()),
            0 => None,
            _ => self.vpd_page(page),
        };
        let data = data.ok_or(Sense::invalid_field_in_cdb(FieldPointer::cdb(2)))?;
        Ok(Step::Done(Reply::parameters(data, u32::from(request.cdb.u16_at(3)), request.data_in)))
    }

    fn standard_inquiry(&self) -> StandardInquiry {
        StandardInquiry {
            peripheral: StandardInquiry::DISK,
            vendor: self.config().vendor_field(),
            product: ascii_field(&self.config().product),
            revision: ascii_field(&self.config().revision),
        }
    }

    fn vpd_page(&self, code: u8) -> Option<Vec<u8>> {
        Some(match code {
            vpd::SUPPORTED_PAGES => vpd::page(code, &VPD_PAGES),
            vpd::UNIT_SERIAL_NUMBER => vpd::page(code, &self.serial()),
            vpd::DEVICE_IDENTIFICATION => vpd::page(code, &self.designators()),
            vpd::EXTENDED_INQUIRY => vpd::page(code, &self.extended_inquiry()),
            vpd::BLOCK_LIMITS => self.block_limits().encode(),
            vpd::BLOCK_DEVICE_CHARACTERISTICS => {
                let mut body = [0; 0x3c];
                body[1] = 0x01; // MEDIUM ROTATION RATE: non-rotating
                vpd::page(code, &body)
            }
            vpd::LOGICAL_BLOCK_PROVISIONING => vpd::page(code, &self.provisioning_page()),
            _ => return None,
        })
    }

    fn serial(&self) -> Vec<u8> {
        let text = &self.config().serial;
        let field: [u8; 64] = ascii_field(text);
        field[..text.len().clamp(1, 64)].to_vec()
    }

    fn designators(&self) -> Vec<u8> {
        let config = self.config();
        let mut specific = ascii_field::<16>(&config.product).to_vec();
        specific.extend(self.serial());
        let mut out = Vec::new();
        let vendor = config.vendor_field();
        Designator::Naa(config.naa.as_bytes()).emit(Association::LogicalUnit, &mut out);
        Designator::T10Vendor { vendor, specific: &specific }.emit(Association::LogicalUnit, &mut out);
        Designator::NameString(&config.naa.name_string()).emit(Association::LogicalUnit, &mut out);
        if let Some(port) = self.port() {
            Designator::RelativeTargetPort(port.relative_id).emit(Association::TargetPort, &mut out);
            Designator::NameString(&port.name).emit(Association::TargetPort, &mut out);
        }
        out
    }

    fn extended_inquiry(&self) -> [u8; 0x3c] {
        let mut body = [0; 0x3c];
        body[1] = 0x01; // SIMPSUP
        body[2] = u8::from(self.config().write_cache); // V_SUP: there is a volatile cache
        body
    }

    fn block_limits(&self) -> BlockLimits {
        let config = self.config();
        let thin = config.provisioning == Provisioning::Thin;
        let physical = 1u16 << config.physical_block_exponent;
        BlockLimits {
            write_same_non_zero: true,
            optimal_granularity: physical,
            max_transfer: self.max_transfer_blocks(),
            optimal_transfer: self.max_transfer_blocks().min(config.chunk >> config.block_size.shift()),
            max_unmap_blocks: if thin { config.max_unmap_blocks } else { 0 },
            max_unmap_descriptors: if thin { u32::from(config.max_unmap_descriptors) } else { 0 },
            unmap_granularity: if thin { config.unmap_granularity } else { 0 },
            unmap_alignment: (thin && config.max_unmap_blocks != 0).then_some(0),
            max_write_same: u64::from(config.max_write_same_blocks),
            ..BlockLimits::default()
        }
    }

    fn provisioning_page(&self) -> [u8; 4] {
        match self.config().provisioning {
            Provisioning::Full => [0; 4],
            // LBPU, LBPWS, LBPWS10, LBPRZ; PROVISIONING TYPE 2: thin.
            Provisioning::Thin => [0, 0xe4, 0x02, 0],
        }
    }
}

impl LogicalUnit {
    /// REQUEST SENSE: a unit attention, which is thereby reported, or what TEST UNIT READY would say.
    pub(super) fn request_sense(&mut self, nexus: NexusId, request: &Request<'_>) -> Result<Step, Sense> {
        let sense = match self.take_attention(nexus) {
            Some(attention) => attention.sense(),
            None => self.sight(nexus).check_ready().err().unwrap_or(NO_SENSE),
        };
        let format = match request.cdb.byte(1) & 0x01 {
            0 => SenseFormat::Fixed,
            _ => SenseFormat::Descriptor,
        };
        let data = sense.encode(format).to_vec();
        Ok(Step::Done(Reply::parameters(data, u32::from(request.cdb.byte(4)), request.data_in)))
    }
}

const NO_SENSE: Sense = Sense::new(SenseKey::NoSense, AdditionalSense::NO_ADDITIONAL_SENSE_INFORMATION);
