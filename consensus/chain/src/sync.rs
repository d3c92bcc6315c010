//! Blocks from peers: what a range must show before it is executed (rule C7).

use holdfast_types::wire::BlocksResponse;
use holdfast_types::{
    Block, BlockId, Certificate, CertificateError, ChainId, EraContext, Height, SignatureScheme,
};

/// Why a range of blocks is refused. All of these are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("the range is empty")]
    Empty,
    #[error("the range carries no certificate")]
    NoCertificate,
    #[error("block {height} does not follow the block before it")]
    NotLinked { height: Height },
    #[error("block {height} is not of era {expected}")]
    WrongEra { height: Height, expected: u64 },
    #[error("the certificate is not for the last block of the range")]
    OtherBlock,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Blocks that a certificate proves, in order.
#[derive(Clone, Debug)]
pub struct ProvenRange {
    pub blocks: Vec<(BlockId, Block)>,
    pub certificate: Certificate,
}

/// Checks that `response` continues `head` within the era `context`, and that its certificate proves it.
pub fn verify_range(
    response: BlocksResponse,
    head: (Height, BlockId),
    chain: &ChainId,
    context: &EraContext,
    scheme: &dyn SignatureScheme,
) -> Result<ProvenRange, RangeError> {
    let certificate = response.certificate.ok_or(RangeError::NoCertificate)?;
    let (mut height, mut parent) = head;
    let mut blocks = Vec::with_capacity(response.blocks.len());
    for block in response.blocks {
        height = height.next();
        if block.header.height != height || block.header.parent != parent {
            return Err(RangeError::NotLinked { height });
        }
        if block.header.era != context.era {
            return Err(RangeError::WrongEra {
                height,
                expected: context.era.0,
            });
        }
        parent = block.header.id(chain);
        blocks.push((parent, block));
    }
    let Some((last, _)) = blocks.last() else {
        return Err(RangeError::Empty);
    };
    let body = &certificate.body;
    if body.block != *last || body.height != height || body.era != context.era {
        return Err(RangeError::OtherBlock);
    }
    certificate.verify(chain, &context.committee, scheme)?;
    Ok(ProvenRange {
        blocks,
        certificate,
    })
}
