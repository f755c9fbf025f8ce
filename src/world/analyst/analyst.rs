//! What the analyst says to a conversation.

use super::conversation::Conversation;
use super::reply::ReplyBlock;

/// The blocks of the next answer.
pub(super) fn answer(conversation: &Conversation) -> Vec<ReplyBlock> {
    let _texts = conversation.user_texts();
    vec![ReplyBlock::Text("Built-in analyst: there is no task in this conversation.".to_owned())]
}
