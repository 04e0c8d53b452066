// Applications encrypt and decrypt; what was encrypted for one purpose opens for no other.
import { definePolicy, Denied, Invalid, Plan, unknownOperation } from '@keyward/policy';

export default definePolicy({
  authorize(request) {
    if (!request.hasRole('application')) {
      throw new Denied('this needs the role `application`');
    }
    if (request.purpose === undefined) {
      throw new Invalid('say what it is for, in `purpose`');
    }
    switch (request.operation) {
      case 'encrypt':
      case 'decrypt':
        return Plan.allow().bind(request.purpose);
      default:
        throw unknownOperation(request.operation);
    }
  },
});
